//! What fraud adds: clicks that nobody made, clicks made at the moment of the install, and installs that are
//! nobody's.

use rand::RngExt as _;

use super::{
    Cause, DAY, FLOODER, HOUR, INJECTOR, Install, MINUTE, SECOND, Town, What,
    phone::Phone,
    places::{Home, Places},
    wire::{install_body, link},
};

/// Of a hundred installs on Android, those on phones with an app that watches for new ones.
const INJECTED: u32 = 8;
/// From the injected click to the first start.
const INJECTION: std::ops::Range<i64> = 2 * SECOND..40 * SECOND;
/// Of a hundred made up clicks of the flooder that carry an identifier, those that name the browser of the machine
/// that makes them up, and those that are sent through somebody in another country. An identifier matches all the same.
const OF_MACHINE: u32 = 30;
const THROUGH_ABROAD: u32 = 30;
/// What that machine says.
const MACHINE: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                       Chrome/137.0.0.0 Safari/537.36";
/// Rented addresses that the farm works from.
const FARM_ADDRESSES: u32 = 3;
/// Fake installs, of a thousand people of the town.
const FARM_INSTALLS: usize = 4;
/// Clicks for each fake install: the farm also clicks to look like a crowd.
const FARM_CLICKS: usize = 12;

impl Town<'_> {
    /// Clicks made up for phones that the network knows of, at any time, in the hope of being the last one.
    pub(super) fn flood(&mut self, phone: &Phone, places: &Places) {
        for _ in 0..self.plan.flood {
            let time = self.rng.random_range(self.plan.from..self.until());
            self.made_up(phone, places, FLOODER, time);
        }
    }

    /// A click at the moment at which the store tells of a new app.
    pub(super) fn inject(&mut self, phone: &Phone, places: &Places, opened: i64) {
        if !phone.is_apple() && self.one_in(INJECTED) {
            let time = opened - self.rng.random_range(INJECTION);
            self.made_up(phone, places, INJECTOR, time);
        }
    }

    /// Phones that are reset between one install and the next, behind a few addresses.
    pub(super) fn farm(&mut self, places: &Places) {
        let many = self.plan.people * FARM_INSTALLS / 1_000;
        // The farm works in shifts of an hour, or its traffic would be too thin to be one.
        let mut shift = self.installs_from() + self.rng.random_range(0..DAY);
        for number in 0..many {
            if number % 20 == 0 {
                shift = self.rng.random_range(self.installs_from()..self.until() - 2 * HOUR);
            }
            let person = u32::MAX - u32::try_from(number).unwrap_or(0);
            let home = Home::nowhere(person);
            let phone = Phone::draw(home, self.installs_from(), self.until(), &mut self.rng);
            let address = places.rented(u32::try_from(number).unwrap_or(0) % FARM_ADDRESSES);
            let opened = shift + self.rng.random_range(0..HOUR);
            for click in 0..FARM_CLICKS {
                let last = click == FARM_CLICKS - 1;
                let before = if last { MINUTE..5 * MINUTE } else { 6 * MINUTE..HOUR };
                let time = opened - self.rng.random_range(before);
                let mark = self.mark(&phone, Some(FLOODER));
                let id = phone.publisher_has_id();
                let agent = phone.browser(time);
                let query = link(&phone, FLOODER, mark, time, address, agent, id, false, self.names);
                self.send(phone.platform, mark, time + 100, What::Click(query));
            }
            let mark = self.mark(&phone, None);
            let body = install_body(&phone, opened, address, None, None, self.names);
            self.send(phone.platform, mark, opened + SECOND, What::Install(body));
            self.installs.push(Install { mark, cause: Cause::Fake });
        }
    }

    fn made_up(&mut self, phone: &Phone, places: &Places, network: usize, time: i64) {
        let mark = self.mark(phone, Some(network));
        let with_id = phone.publisher_has_id() && self.one_in(super::NETWORKS[network].ids);
        let (mut address, mut agent) = (places.address(phone, time), phone.browser(time));
        if network == FLOODER && with_id {
            if self.aside.random_range(0..100) < OF_MACHINE {
                MACHINE.clone_into(&mut agent);
            }
            if self.aside.random_range(0..100) < THROUGH_ABROAD {
                address = places.abroad(self.aside.random());
            }
        }
        let query = link(phone, network, mark, time, address, agent, with_id, false, self.names);
        self.send(phone.platform, mark, time + 100, What::Click(query));
    }
}
