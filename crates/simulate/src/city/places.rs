//! Where phones are on the internet, hour by hour. Only ranges that nobody has: 198.18.0.0/15 (benchmarks) and
//! 2001:db8::/32 (documentation).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rand::{RngExt as _, rngs::StdRng};

use super::{HOUR, phone::Phone};

/// Of a hundred homes, those with more than one of our people.
const SHARED_HOMES: u32 = 30;
/// People of a shared home, at most.
const HOME_PEOPLE_MAX: usize = 4;
/// Of a hundred homes, those with IPv6 (one /64 for all; every phone takes a new address in it every day).
const V6_HOMES: u32 = 45;
/// Of a hundred people, those who work in an office.
const WORKERS: u32 = 35;
/// Our people in one office, all behind one address.
const OFFICE_PEOPLE: usize = 40;
/// Carriers, each of which has a pool of IPv4 addresses.
const CARRIERS: u32 = 2;
/// Of a hundred phones, those that their carrier gives an IPv6 /64 of their own, a new one every time.
const V6_CARRIED: u32 = 55;
/// People for each IPv4 address of a carrier, of those to whom it gives no IPv6. Everybody gets every address of the
/// pool in turn, so in a town of 20,000 each of them is seen with 4,500 people.
const CARRIED_PEOPLE: usize = 2_000;
/// Addresses of a pool at least: a carrier always changes them.
const POOL_MIN: usize = 2;
/// The first address of the data centres, behind all others.
const RENTED: u32 = 0x1_f000;
/// The first address of another country, behind the carriers and before the data centres.
const FOREIGN: u32 = 0x1_8000;
/// The country of the town.
pub const HOME: &str = "NZ";
/// The other one.
pub const ABROAD: &str = "DE";
/// Of a hundred addresses of the town, those that a database places in the other country.
const MISPLACED: u64 = 2;
/// Hours after which a carrier hands out another address.
const LEASE_HOURS: i64 = 3;

/// Where somebody lives and works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// The number of the person.
    pub person: u32,
    /// The number of the home.
    pub home: u32,
    /// The number of the office, for those who work in one.
    pub office: Option<u32>,
    carrier: u32,
    carrier_v6: bool,
    home_v6: bool,
}

impl Home {
    /// The place of a phone that is in nobody's hands.
    pub const fn nowhere(person: u32) -> Self {
        Self { person, home: 0, office: None, carrier: 0, carrier_v6: false, home_v6: false }
    }
}

/// All of them.
#[derive(Clone, Debug)]
pub struct Places {
    people: usize,
    offices: u32,
    pool: u32,
    salt: u64,
}

impl Places {
    pub fn draw(people: usize, rng: &mut StdRng) -> Self {
        let offices = u32::try_from(people / OFFICE_PEOPLE).unwrap_or(u32::MAX).max(1);
        let without_v6 = people * (100 - V6_CARRIED as usize) / 100;
        let pool = (without_v6 / CARRIERS as usize / CARRIED_PEOPLE).max(POOL_MIN);
        let pool = u32::try_from(pool).unwrap_or(u32::MAX);
        Self { people, offices, pool, salt: rng.random() }
    }

    /// Everybody's place, home by home.
    pub fn phones(&self, rng: &mut StdRng) -> Vec<Home> {
        let mut all: Vec<Home> = Vec::with_capacity(self.people);
        let mut home = 0;
        while all.len() < self.people {
            let shared = rng.random_range(0..100) < SHARED_HOMES;
            let size = if shared { rng.random_range(2..=HOME_PEOPLE_MAX) } else { 1 };
            let home_v6 = rng.random_range(0..100) < V6_HOMES;
            for _ in 0..size.min(self.people - all.len()) {
                let works = rng.random_range(0..100) < WORKERS;
                all.push(Home {
                    person: u32::try_from(all.len()).unwrap_or(u32::MAX),
                    home,
                    office: works.then(|| rng.random_range(0..self.offices)),
                    carrier: rng.random_range(0..CARRIERS),
                    carrier_v6: rng.random_range(0..100) < V6_CARRIED,
                    home_v6,
                });
            }
            home += 1;
        }
        all
    }

    /// The address that a phone has at a moment.
    pub fn address(&self, phone: &Phone, time: i64) -> IpAddr {
        let home = &phone.home;
        let hour = time.div_euclid(HOUR);
        let at_work = home.office.is_some() && (9..17).contains(&hour.rem_euclid(24));
        match (self.dice(home.person, hour, 0) % 100, at_work, home.office) {
            (0..70, true, Some(office)) => v4(office),
            (0..60, false, _) => self.at_home(home, hour.div_euclid(24)),
            _ => self.carried(home, hour.div_euclid(LEASE_HOURS)),
        }
    }

    fn at_home(&self, home: &Home, day: i64) -> IpAddr {
        if home.home_v6 {
            // A /64 of the home, an interface of the phone and day.
            v6(u64::from(home.home), self.dice(home.person, day, 1))
        } else {
            v4(self.offices + home.home)
        }
    }

    fn carried(&self, home: &Home, lease: i64) -> IpAddr {
        let dice = self.dice(home.person, lease, 2);
        if home.carrier_v6 {
            v6(0x8000_0000 | (dice >> 34), dice)
        } else {
            let number = u32::try_from(dice % u64::from(self.pool)).unwrap_or(0);
            // The pools lie behind every home that there can be.
            v4(0x1_0000 + home.carrier * self.pool + number)
        }
    }

    /// An address of a data centre.
    pub const fn rented(&self, number: u32) -> IpAddr {
        v4(RENTED + number)
    }

    /// An address in another country.
    pub const fn abroad(&self, number: u32) -> IpAddr {
        v4(FOREIGN + number % (RENTED - FOREIGN))
    }

    /// A number that looks drawn and is always the same for the same person and slot.
    fn dice(&self, person: u32, slot: i64, kind: u64) -> u64 {
        mixed(self.salt ^ (u64::from(person) << 32) ^ slot.cast_unsigned() ^ (kind << 60))
    }
}

/// Twice the finaliser of SplitMix64.
const fn mixed(mut x: u64) -> u64 {
    let mut round = 0;
    while round < 2 {
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
        round += 1;
    }
    x
}

/// The country that a database of addresses tells: that of the address, now and then the wrong one, and of all
/// addresses of a /64 the same.
#[must_use]
pub fn country(address: IpAddr) -> &'static str {
    let (network, is_foreign) = match address {
        IpAddr::V4(v4_address) => {
            (u64::from(u32::from(v4_address)), (v4(FOREIGN)..v4(RENTED)).contains(&address))
        }
        IpAddr::V6(v6_address) => (v6_address.to_bits().wrapping_shr(64) as u64, false),
    };
    if is_foreign || mixed(network) % 100 < MISPLACED { ABROAD } else { HOME }
}

/// Whether an address is one of a data centre: what a database of anonymous networks would tell.
#[must_use]
pub fn is_rented(address: IpAddr) -> bool {
    address.is_ipv4() && address >= v4(RENTED)
}

/// The address of this number in 198.18.0.0/15.
const fn v4(number: u32) -> IpAddr {
    let [_, b, c, d] = (number % 0x2_0000).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(198, 18 + b, c, d))
}

/// The address of this subnet and interface in 2001:db8::/32.
fn v6(subnet: u64, interface: u64) -> IpAddr {
    let prefix = 0x2001_0db8_u128 << 96 | u128::from(subnet & 0xffff_ffff) << 64;
    IpAddr::V6(Ipv6Addr::from(prefix | u128::from(interface)))
}
