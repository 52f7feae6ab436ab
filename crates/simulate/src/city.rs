//! A town of phones with a known ground truth, for judging attribution rather than for testing a server: what
//! households, offices and carriers do to addresses, what updates do to devices, what consent leaves of
//! identifiers, and what fraud adds. Pure: the same plan always gives the same town.
//!
//! Every share below is an assumption that can be read here and argued about; none is measured on anyone's
//! traffic. What is built on them says so (docs/accuracy.md).

mod fraud;
mod phone;
mod places;
#[cfg(test)]
mod tests;
mod wire;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use self::{
    phone::Phone,
    places::Places,
    wire::{install_body, link},
};
use crate::device::Platform;

pub use self::places::{ABROAD, HOME, country, is_rented};

pub(crate) const SECOND: i64 = 1_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// How long the town is watched, days.
const DAYS: i64 = 21;
/// Installs happen in this many last days, so that clicks of the days before can reach them.
const INSTALL_DAYS: i64 = 7;

/// Of a hundred people, those who install at all.
const INSTALLS: u32 = 12;
/// Of a hundred installs, those that no ad caused.
const ORGANIC: u32 = 45;
/// Of a hundred installs of iPhones that an ad caused, those by an ad in the App Store.
const SEARCH_ADS: u32 = 10;
/// Of a hundred installs that an ad caused, those of people who saw it and did not click.
const VIEWED: u32 = 12;
/// Clicks that lead to nothing, per hundred people, whether or not they install for another reason: four of five
/// honest clicks, which is few. With more of them every class gets worse in the same order.
const IDLE_CLICKS: u32 = 25;
/// Of a hundred calls of networks and backends, those that come twice.
const TWICE: u32 = 3;
/// Of a hundred clicks, those told up to eight minutes late, and as many up to an hour.
const LATE: u32 = 1;
/// Of a hundred installs, those told hours after they happened.
const OFFLINE: u32 = 4;

/// The networks of the town by index, and what they are like.
pub const NETWORKS: [NetworkKind; 5] = [
    NetworkKind { name: "Brightfeed", honest: true, ids: 70, hashed: 20, views: true },
    NetworkKind { name: "Kitepath", honest: true, ids: 0, hashed: 0, views: false },
    NetworkKind { name: "Moss & Lantern", honest: true, ids: 55, hashed: 100, views: true },
    NetworkKind { name: "Floodgate", honest: false, ids: 40, hashed: 0, views: false },
    NetworkKind { name: "Needlepoint", honest: false, ids: 100, hashed: 0, views: false },
];
/// The network that floods, and that the farm works for.
pub const FLOODER: usize = 3;
/// The network that injects clicks.
pub const INJECTOR: usize = 4;

/// What a network is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkKind {
    /// Its name.
    pub name: &'static str,
    /// Whether its clicks are people's.
    pub honest: bool,
    /// Of a hundred links to phones whose identifier may be read, those that carry it.
    pub ids: u32,
    /// Of a hundred of these, those that carry a digest of it.
    pub hashed: u32,
    /// Whether it reports impressions.
    pub views: bool,
}

/// What to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// How many people with a phone.
    pub people: usize,
    /// When the town is first looked at, epoch milliseconds.
    pub from: i64,
    /// Clicks that the flooder makes up, per person; 0 is a town without any fraud.
    pub flood: u32,
}

/// What a server could know at best about the cause of an install.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trace {
    /// Click and install carry the same identifier.
    Identifier,
    /// The store hands the click over.
    Referrer,
    /// Apple tells.
    SearchAds,
    /// An impression carries the identifier of the install.
    ViewIdentifier,
    /// A click without a common identifier: it can only be guessed.
    Guess,
    /// An impression without one.
    ViewGuess,
}

impl Trace {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Identifier,
        Self::Referrer,
        Self::SearchAds,
        Self::ViewIdentifier,
        Self::Guess,
        Self::ViewGuess,
    ];

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identifier => "click, identifier",
            Self::Referrer => "click, install referrer",
            Self::SearchAds => "Apple Search Ads",
            Self::ViewIdentifier => "impression, identifier",
            Self::Guess => "click, only a guess",
            Self::ViewGuess => "impression, only a guess",
        }
    }
}

/// Why somebody installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No ad did it.
    Organic,
    /// An ad did it: the call in [`City::calls`] (none for Apple's ads), and how it can be known.
    Ad {
        /// The very click or impression, by its mark.
        mark: u64,
        /// How it can be known.
        trace: Trace,
    },
    /// Nobody did: the install is made up.
    Fake,
}

/// What comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A tracking link: its query.
    Click(String),
    /// An impression: its query.
    View(String),
    /// An install: its body.
    Install(String),
}

/// One call, as it reaches the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it is received, epoch milliseconds.
    pub received: i64,
    /// The platform of its app.
    pub platform: Platform,
    /// What names it in the ground truth; a repetition has the mark of the first.
    pub mark: u64,
    /// Whether it is a repetition.
    pub again: bool,
    /// What it says.
    pub what: What,
}

/// What a mark stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The network of a click or impression; `None` for installs and what Apple's ads did.
    pub network: Option<usize>,
    /// The number of the person whose phone it is.
    pub person: u32,
}

/// An install and its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Install {
    /// The mark of the call that tells of it.
    pub mark: u64,
    /// Why it happened.
    pub cause: Cause,
}

/// A town.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct City {
    /// Everything that reaches the server, in the order of receipt.
    pub calls: Vec<Call>,
    /// Every install.
    pub installs: Vec<Install>,
    /// Whose each mark is.
    pub marks: Vec<Mark>,
    /// When the week of installs begins, epoch milliseconds.
    pub installs_from: i64,
}

/// Draws a town.
#[must_use]
pub fn city(plan: &Plan, names: &Names<'_>) -> City {
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let places = Places::draw(plan.people, &mut rng);
    let aside = StdRng::seed_from_u64(!plan.seed);
    let mut town =
        Town { plan, names, rng, aside, calls: Vec::new(), installs: Vec::new(), marks: Vec::new() };
    for home in places.phones(&mut town.rng) {
        let phone = Phone::draw(home, town.installs_from(), town.until(), &mut town.rng);
        town.live(&phone, &places);
    }
    if plan.flood > 0 {
        town.farm(&places);
    }
    town.calls.sort_by_key(|call| (call.received, call.mark));
    let installs_from = town.installs_from();
    City { calls: town.calls, installs: town.installs, marks: town.marks, installs_from }
}

/// What links and bodies call things.
#[derive(Clone, Copy)]
pub struct Names<'n> {
    /// The GUID of the tracker of a platform and network.
    pub tracker: &'n dyn Fn(Platform, usize) -> String,
    /// The GUID of the app of a platform.
    pub app: &'n dyn Fn(Platform) -> String,
    /// What the server calls the click of this receipt time and mark, in the referrer that it gives to the store.
    pub click: &'n dyn Fn(i64, u64) -> String,
}

struct Town<'p> {
    plan: &'p Plan,
    names: &'p Names<'p>,
    rng: StdRng,
    /// Draws what changes nothing else about a town, so that it stays the one that it was without that.
    aside: StdRng,
    calls: Vec<Call>,
    installs: Vec<Install>,
    marks: Vec<Mark>,
}

impl Town<'_> {
    const fn until(&self) -> i64 {
        self.plan.from + DAYS * DAY
    }

    const fn installs_from(&self) -> i64 {
        self.until() - INSTALL_DAYS * DAY
    }

    fn one_in(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn mark(&mut self, phone: &Phone, network: Option<usize>) -> u64 {
        self.marks.push(Mark { network, person: phone.home.person });
        self.marks.len() as u64 - 1
    }

    /// One person's three weeks.
    fn live(&mut self, phone: &Phone, places: &Places) {
        self.idle(phone, places);
        self.flood(phone, places);
        if !self.one_in(INSTALLS) {
            return;
        }
        let opened = self.rng.random_range(self.installs_from()..self.until() - HOUR);
        let (cause, referrer, apple) = self.cause(phone, places, opened);
        if self.plan.flood > 0 {
            self.inject(phone, places, opened);
        }
        let mark = self.mark(phone, None);
        let body = install_body(
            phone,
            opened,
            places.address(phone, opened),
            referrer.as_deref(),
            apple,
            self.names,
        );
        self.tell(phone, mark, opened, What::Install(body));
        self.installs.push(Install { mark, cause });
    }

    /// Why the person installs: the cause, what the store hands over, and when Apple says the click was.
    fn cause(&mut self, phone: &Phone, places: &Places, opened: i64) -> (Cause, Option<String>, Option<i64>) {
        if self.one_in(ORGANIC) {
            return (Cause::Organic, None, None);
        }
        let clicked = (opened - self.time_to_install()).max(self.plan.from);
        if phone.is_apple() && self.one_in(SEARCH_ADS) {
            let mark = self.mark(phone, None);
            return (Cause::Ad { mark, trace: Trace::SearchAds }, None, Some(clicked));
        }
        let viewed = self.one_in(VIEWED);
        let honest: Vec<usize> = (0..NETWORKS.len())
            .filter(|index| NETWORKS[*index].honest && (!viewed || NETWORKS[*index].views))
            .collect();
        let network = honest[self.rng.random_range(0..honest.len())];
        // A person who only saw the ad comes within the day.
        let time = if viewed { opened - self.rng.random_range(10 * MINUTE..20 * HOUR) } else { clicked };
        let (mark, with_id, received) = self.ad(phone, places, network, time, viewed);
        let known = with_id && phone.install_has_id();
        let handed_over = !viewed && !phone.is_apple() && network == 1 && self.one_in(80);
        let trace = match (viewed, known, handed_over) {
            (true, true, _) => Trace::ViewIdentifier,
            (true, false, _) => Trace::ViewGuess,
            (false, true, _) => Trace::Identifier,
            (false, false, true) => Trace::Referrer,
            (false, false, false) => Trace::Guess,
        };
        (Cause::Ad { mark, trace }, handed_over.then(|| (self.names.click)(received, mark)), None)
    }

    /// From the click to the first start: mostly minutes, now and then a week or more.
    fn time_to_install(&mut self) -> i64 {
        match self.rng.random_range(0..100) {
            0..60 => self.rng.random_range(40 * SECOND..HOUR),
            60..85 => self.rng.random_range(HOUR..DAY),
            85..96 => self.rng.random_range(DAY..7 * DAY),
            _ => self.rng.random_range(7 * DAY..14 * DAY),
        }
    }

    /// Clicks of people who then do nothing about it.
    fn idle(&mut self, phone: &Phone, places: &Places) {
        let mut left = IDLE_CLICKS;
        while left > 0 {
            if self.one_in(left.min(50)) {
                let network = self.rng.random_range(0..FLOODER);
                let time = self.rng.random_range(self.plan.from..self.until());
                self.ad(phone, places, network, time, false);
            }
            left = left.saturating_sub(50);
        }
    }

    /// A click or impression that really happened: its mark, whether it carries the identifier, and when the server
    /// hears of it.
    fn ad(
        &mut self,
        phone: &Phone,
        places: &Places,
        network: usize,
        time: i64,
        view: bool,
    ) -> (u64, bool, i64) {
        let mark = self.mark(phone, Some(network));
        let kind = NETWORKS[network];
        let with_id = phone.publisher_has_id() && self.one_in(kind.ids);
        let hashed = with_id && self.one_in(kind.hashed);
        let (address, agent) = (places.address(phone, time), phone.browser(time));
        let query = link(phone, network, mark, time, address, agent, with_id, hashed, self.names);
        let what = if view { What::View(query) } else { What::Click(query) };
        let received = self.delay_of_click(time);
        self.send(phone.platform, mark, received, what);
        (mark, with_id, received)
    }

    fn delay_of_click(&mut self, time: i64) -> i64 {
        match self.rng.random_range(0..100) {
            late if late < LATE => time + self.rng.random_range(MINUTE..8 * MINUTE),
            late if late < 2 * LATE => time + self.rng.random_range(11 * MINUTE..HOUR),
            _ => time + self.rng.random_range(20..800),
        }
    }

    fn tell(&mut self, phone: &Phone, mark: u64, time: i64, what: What) {
        let offline = self.one_in(OFFLINE);
        let delay =
            if offline { self.rng.random_range(HOUR..12 * HOUR) } else { self.rng.random_range(500..30_000) };
        self.send(phone.platform, mark, time + delay, what);
    }

    /// Sends a call, now and then twice.
    fn send(&mut self, platform: Platform, mark: u64, received: i64, what: What) {
        if self.one_in(TWICE) {
            let again = received + self.rng.random_range(SECOND..5 * MINUTE);
            self.calls.push(Call { received: again, platform, mark, again: true, what: what.clone() });
        }
        self.calls.push(Call { received, platform, mark, again: false, what });
    }
}

/// The index of a weighted choice.
fn weighted<T: Copy>(choices: &[(T, u32)], rng: &mut StdRng) -> T {
    let mut left = rng.random_range(0..choices.iter().map(|(_, weight)| weight).sum());
    for (choice, weight) in choices {
        if left < *weight {
            return *choice;
        }
        left -= weight;
    }
    choices[0].0
}
