//! The blocklist of the account: devices, sites, addresses.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::{
    NetworkId, Timestamp,
    identifier::{Digest, DigestLength, IdKind, Identifier, forms},
};

/// Entries at most.
pub const BLOCKLIST_ENTRIES_MAX: usize = 100_000;

/// A range of addresses; a single one has the whole length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cidr {
    /// Whether it is IPv6.
    pub v6: bool,
    /// How many bits are fixed.
    pub bits: u8,
    /// The first address, as a number.
    pub first: u128,
}

impl Cidr {
    fn of(address: IpAddr, bits: u8) -> Option<Self> {
        let (v6, width, number) = match address.to_canonical() {
            IpAddr::V4(v4) => (false, 32, u128::from(u32::from(v4))),
            IpAddr::V6(v6) => (true, 128, u128::from(v6)),
        };
        let free = u32::from(width - bits.min(width));
        let mask = u128::MAX.checked_shl(free).unwrap_or(0);
        (bits <= width).then_some(Self { v6, bits, first: number & mask })
    }
}

impl FromStr for Cidr {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "must be an address or a range such as 203.0.113.0/24 or 2001:db8::/32";
        let (address, bits) = match text.trim().split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| WRONG)?)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| WRONG)?;
        let whole = if address.to_canonical().is_ipv4() { 32 } else { 128 };
        Self::of(address, bits.unwrap_or(whole)).ok_or(WRONG)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, width): (IpAddr, u8) = if self.v6 {
            (std::net::Ipv6Addr::from(self.first).into(), 128)
        } else {
            (std::net::Ipv4Addr::from(u32::try_from(self.first).unwrap_or_default()).into(), 32)
        };
        if self.bits == width { address.fmt(f) } else { write!(f, "{address}/{}", self.bits) }
    }
}

/// What is blocked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Blocked {
    /// A device by an identifier.
    Device(Identifier),
    /// A device by the digest of an identifier, as links carry it.
    Digest(Digest),
    /// A site, of one network or of all.
    Site(Option<NetworkId>, String),
    /// A range of addresses.
    Ip(Cidr),
}

impl Blocked {
    /// A device as people write it: a digest where the text looks like one. An identifier of 32 digits
    /// without separators does too; look-ups know that.
    #[must_use]
    pub fn device(kind: &str, value: &str) -> Option<Self> {
        if let Some(digest) = Digest::parse(value) {
            return Some(Self::Digest(digest));
        }
        Identifier::new(IdKind::named(kind), value).map(|identifier| {
            Self::Device(Identifier { value: identifier.canonical(), kind: identifier.kind })
        })
    }

    /// `device`, `siteId` or `ip`, as the incumbent calls it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Device(_) | Self::Digest(_) => "device",
            Self::Site(..) => "siteId",
            Self::Ip(_) => "ip",
        }
    }
}

/// One entry, with what was said about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// What is blocked.
    pub what: Blocked,
    /// Why, in the words of whoever entered it.
    pub reason: String,
    /// How sure they were, as they wrote it.
    pub score: String,
    /// When it was entered or last changed.
    pub at: Timestamp,
    /// Whether it was taken off the list.
    pub removed: bool,
}

/// The blocklist of the account.
#[derive(Clone, Debug, Default)]
pub struct Blocklist {
    entries: BTreeMap<Blocked, Listing>,
    /// The lengths of ranges in use: only these are tried.
    lengths: BTreeSet<(bool, u8)>,
    /// The lengths of digests in use: an identifier is hashed to these only.
    digests: BTreeSet<DigestLength>,
}

impl Blocklist {
    /// Takes an entry in, or off.
    pub fn apply(&mut self, listing: Listing) {
        if listing.removed {
            self.entries.remove(&listing.what);
            return;
        }
        if let Blocked::Ip(cidr) = &listing.what {
            self.lengths.insert((cidr.v6, cidr.bits));
        }
        if let Blocked::Digest(digest) = &listing.what {
            self.digests.insert(digest.length());
        }
        self.entries.insert(listing.what.clone(), listing);
    }

    /// The entry of this very thing.
    #[must_use]
    pub fn get(&self, what: &Blocked) -> Option<&Listing> {
        self.entries.get(what)
    }

    /// Every entry, in order.
    pub fn entries(&self) -> impl Iterator<Item = &Listing> {
        self.entries.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry that an identifier in plain text falls under: its own, else that of a digest of it.
    #[must_use]
    pub fn identifier(&self, identifier: &Identifier) -> Option<&Listing> {
        let value = identifier.canonical();
        // Without separators an identifier looks like a digest, and may have been entered as one.
        let written = Digest::parse(&value).and_then(|digest| self.entries.get(&Blocked::Digest(digest)));
        let plain =
            || self.entries.get(&Blocked::Device(Identifier { kind: identifier.kind.clone(), value }));
        written.or_else(plain).or_else(|| {
            let mut digests = self.digests.iter().flat_map(|length| forms(&identifier.value, *length));
            digests.find_map(|(_, digest)| self.entries.get(&Blocked::Digest(digest)))
        })
    }

    /// The entry that a digest falls under: nobody can tell of which identifier it is.
    #[must_use]
    pub fn digest(&self, digest: &Digest) -> Option<&Listing> {
        self.entries.get(&Blocked::Digest(digest.clone()))
    }

    /// The entry that a site falls under: of its network, else of all.
    #[must_use]
    pub fn site(&self, network: NetworkId, site: &str) -> Option<&Listing> {
        [Some(network), None]
            .into_iter()
            .find_map(|network| self.entries.get(&Blocked::Site(network, site.to_owned())))
    }

    /// The entry that an address falls under, the narrowest first.
    #[must_use]
    pub fn ip(&self, address: IpAddr) -> Option<&Listing> {
        let v6 = address.to_canonical().is_ipv6();
        let lengths = self.lengths.iter().rev().filter(|(of_v6, _)| *of_v6 == v6);
        lengths
            .filter_map(|(_, bits)| Cidr::of(address, *bits))
            .find_map(|cidr| self.entries.get(&Blocked::Ip(cidr)))
    }
}
