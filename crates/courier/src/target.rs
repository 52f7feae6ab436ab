//! Which addresses a postback may be sent to. A name is resolved once, what it leads to is vetted, and the
//! connection goes to the vetted address: a name that resolves differently a moment later changes nothing.

use std::{
    error::Error,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The ranges that are refused unless allowed: everything that is not a public unicast address, and the
/// forms of IPv6 that lead to an IPv4 address of their own choosing (IANA special-purpose registries).
const REFUSED: [&str; 29] = [
    "0.0.0.0/8",       // this network
    "10.0.0.0/8",      // private
    "100.64.0.0/10",   // carrier-grade NAT; also a cloud's metadata service, 100.100.100.200
    "127.0.0.0/8",     // loopback
    "169.254.0.0/16",  // link-local; metadata services, 169.254.169.254
    "172.16.0.0/12",   // private
    "192.0.0.0/24",    // protocol assignments; metadata, 192.0.0.192
    "192.0.2.0/24",    // documentation
    "192.31.196.0/24", // AS112
    "192.52.193.0/24", // AMT
    "192.88.99.0/24",  // 6to4 relays
    "192.168.0.0/16",  // private
    "192.175.48.0/24", // AS112
    "198.18.0.0/15",   // benchmarks
    "198.51.100.0/24", // documentation
    "203.0.113.0/24",  // documentation
    "224.0.0.0/4",     // multicast
    "240.0.0.0/4",     // reserved, broadcast
    "::/96",           // unspecified, loopback, IPv4-compatible
    "::ffff:0:0/96",   // IPv4-mapped
    "64:ff9b::/96",    // NAT64
    "64:ff9b:1::/48",  // NAT64 of a local network
    "100::/64",        // discard
    "2001::/23",       // protocol assignments, Teredo among them
    "2001:db8::/32",   // documentation
    "2002::/16",       // 6to4
    "3fff::/20",       // documentation
    "5f00::/16",       // segment routing
    "::ffff:0:0:0/96", // IPv4-translated
];

/// Of IPv6 only 2000::/3 is global unicast: private (fc00::/7), link-local and multicast lie outside.
const GLOBAL_V6: &str = "2000::/3";

/// Decides which addresses may be reached.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allowed: Vec<IpNet>,
    refused: Vec<IpNet>,
    global_v6: Option<IpNet>,
}

impl Guard {
    /// A guard that lets the public Internet pass, and `allowed`.
    #[must_use]
    pub fn new(allowed: Vec<IpNet>) -> Self {
        let refused = REFUSED.iter().filter_map(|net| net.parse().ok()).collect();
        Self { allowed, refused, global_v6: GLOBAL_V6.parse().ok() }
    }

    /// Whether `ip` may be reached. An allowed IPv4 range also allows its IPv4-mapped form, which leads to
    /// the same place; every other embedding counts as the IPv6 address that it is.
    #[must_use]
    pub fn allows(&self, ip: IpAddr) -> bool {
        let canonical = ip.to_canonical();
        if self.allowed.iter().any(|net| net.contains(&ip) || net.contains(&canonical)) {
            return true;
        }
        let global = match ip {
            IpAddr::V4(_) => true,
            IpAddr::V6(_) => self.global_v6.is_some_and(|net| net.contains(&ip)),
        };
        global && !self.refused.iter().any(|net| net.contains(&ip))
    }

    /// Whether a URL may be asked for, as far as it can be told without resolving a name.
    #[must_use]
    pub fn allows_url(&self, url: &Url) -> bool {
        match url.host() {
            Some(Host::Ipv4(ip)) => self.allows(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => self.allows(IpAddr::V6(ip)),
            Some(Host::Domain(_)) => true,
            None => false,
        }
    }
}

/// A name that leads to refused addresses only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked;

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the target is a private or reserved address: allow it in courier.allow_targets")
    }
}

impl Error for Blocked {}

/// Resolves names by the system, and keeps only what the guard lets pass.
#[derive(Clone, Debug)]
pub struct VettingResolver {
    guard: Arc<Guard>,
}

impl VettingResolver {
    /// A resolver behind `guard`.
    pub fn new(guard: Arc<Guard>) -> Self {
        Self { guard }
    }
}

impl Resolve for VettingResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.guard.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let known = !found.is_empty();
            let vetted: Vec<SocketAddr> =
                found.into_iter().filter(|address| guard.allows(address.ip())).collect();
            if known && vetted.is_empty() {
                return Err(Blocked.into());
            }
            let addresses: Addrs = Box::new(vetted.into_iter());
            Ok(addresses)
        })
    }
}
