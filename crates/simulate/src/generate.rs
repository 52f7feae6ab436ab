//! The generator: a scenario from a seed. Pure: the same plan always gives the same scenario.
//!
//! Every kind of person is built so that its truth is beyond doubt by the rules of attribution, or is
//! marked [`Expected::Modeled`] where a server can only guess. Households never share an address, so what
//! one household does cannot change what is true of another.

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    device::{Consent, Device, Hash, Household, Platform},
    scenario::{
        Action, Caller, Clock, Engagement, Expected, Install, LinkId, NETWORKS, Person, Scenario, Step, Truth,
    },
};

mod after;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Installs happened up to this long before the end of the scenario.
const INSTALLS_SPAN: i64 = 2 * DAY;
/// Clicks with an identifier happened up to this long before their install (the window is 30 days).
const CLICK_AGE_MAX: i64 = 20 * DAY;
/// Clicks without one (the window is 7 days).
const MODELED_AGE_MAX: i64 = 5 * DAY;
/// Impressions (the window is 1 day).
const VIEW_AGE_MAX: i64 = 20 * HOUR;

/// What to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// How many people, at least; the last household is completed.
    pub people: usize,
    /// When the scenario ends, epoch seconds: the time of sending. Everything lies before it.
    pub until: i64,
}

/// The kinds of people, with how many of a hundred draws fall on each.
const KINDS: [(Kind, u32); 11] = [
    (Kind::Identified, 27),
    (Kind::Referred, 12),
    (Kind::Anonymous, 15),
    (Kind::Organic, 14),
    (Kind::Strangers, 7),
    (Kind::Neighbours, 3),
    (Kind::SearchAds, 4),
    (Kind::Viewer, 4),
    (Kind::Passerby, 8),
    (Kind::WrongApp, 2),
    (Kind::Late, 4),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Clicked a link that carries the identifier, plain or hashed.
    Identified,
    /// Clicked on Android; the store hands the click id over.
    Referred,
    /// Clicked a link without identifier.
    Anonymous,
    /// Came by themselves.
    Organic,
    /// One who clicked with an identifier, and strangers behind the same address.
    Strangers,
    /// One who clicked without identifier, and a neighbour with the same make who did not, or clicked an ad
    /// of another network.
    Neighbours,
    /// Came from the App Store's own ads.
    SearchAds,
    /// Saw an ad, did not click.
    Viewer,
    /// Clicked, did not install.
    Passerby,
    /// Clicked an ad for the other app.
    WrongApp,
    /// As `Identified`, but the click reaches the server after the install.
    Late,
}

/// Draws a scenario.
#[must_use]
pub fn scenario(plan: &Plan) -> Scenario {
    let mut builder = Builder {
        rng: StdRng::seed_from_u64(plan.seed),
        plan: *plan,
        households: 0,
        ids: 0,
        people: Vec::with_capacity(plan.people + 2),
    };
    while builder.people.len() < plan.people {
        let kind = builder.kind();
        builder.household(kind);
    }
    Scenario { seed: plan.seed, people: builder.people }
}

struct Builder {
    rng: StdRng,
    plan: Plan,
    households: u32,
    ids: u64,
    people: Vec<Person>,
}

/// A person in the making.
struct Draft {
    device: Device,
    home: Household,
    /// When the install happened; `None` is "just now".
    installed: Option<i64>,
    steps: Vec<Step>,
}

impl Builder {
    fn kind(&mut self) -> Kind {
        let mut left = self.rng.random_range(0..KINDS.iter().map(|(_, weight)| weight).sum());
        for (kind, weight) in KINDS {
            if left < weight {
                return kind;
            }
            left -= weight;
        }
        Kind::Organic
    }

    fn household(&mut self, kind: Kind) {
        let home = Household::numbered(self.households);
        self.households += 1;
        match kind {
            Kind::Identified => self.identified(home, false),
            Kind::Late => self.identified(home, true),
            Kind::Referred => self.referred(home),
            Kind::Anonymous => self.anonymous(home),
            Kind::Organic => self.organic(home),
            Kind::Strangers => self.strangers(home),
            Kind::Neighbours => self.neighbours(home),
            Kind::SearchAds => self.search_ads(home),
            Kind::Viewer => self.viewer(home),
            Kind::Passerby => self.passerby(home),
            Kind::WrongApp => self.wrong_app(home),
        }
    }

    fn identified(&mut self, home: Household, late: bool) {
        let mut draft = self.draft(home, None, Consent::Granted);
        if late {
            // Only a click that says when it happened can be late.
            draft.installed = Some(self.past());
        }
        self.earlier_ads(&mut draft);
        let click = self.engagement(&draft, true);
        let step = self.click(&draft, &click, CLICK_AGE_MAX);
        let truth = caused(Expected::DeviceId, &click);
        if late {
            self.install(&mut draft, false);
            draft.steps.push(step);
        } else {
            self.twice(&mut draft, step);
            self.install(&mut draft, false);
            self.later_click(&mut draft);
        }
        self.finish(draft, truth);
    }

    fn referred(&mut self, home: Household) {
        let mut draft = self.draft(home, Some(Platform::Android), Consent::Granted);
        let mut click = self.engagement(&draft, false);
        click.caller = Caller::Browser;
        let step = self.click(&draft, &click, DAY);
        draft.steps.push(step);
        self.install(&mut draft, true);
        self.finish(draft, caused(Expected::Referrer, &click));
    }

    fn anonymous(&mut self, home: Household) {
        let consent = self.any_consent();
        let mut draft = self.draft(home, None, consent);
        let click = self.engagement(&draft, false);
        let step = self.click(&draft, &click, MODELED_AGE_MAX);
        self.twice(&mut draft, step);
        self.install(&mut draft, false);
        self.finish(draft, caused(Expected::Modeled, &click));
    }

    fn organic(&mut self, home: Household) {
        let consent = self.any_consent();
        let mut draft = self.draft(home, None, consent);
        self.install(&mut draft, false);
        self.finish(draft, Truth::Organic { stranger: false });
    }

    /// The click carries an identifier, and so do the installs of the strangers, of the same kind: whatever
    /// else they share, they are other people.
    fn strangers(&mut self, home: Household) {
        let mut clicker = self.draft(home, None, Consent::Granted);
        let mut click = self.engagement(&clicker, true);
        if let LinkId::Hashed { hash, .. } = click.id {
            // A digest tells the kind only by what the link says; keep the plain forms here.
            click.id = if hash == Hash::Md5 { LinkId::Plain } else { LinkId::Typed };
        }
        let step = self.click(&clicker, &click, MODELED_AGE_MAX);
        let model = clicker.device.clone();
        clicker.steps.push(step);
        if self.rng.random_bool(0.7) {
            self.install(&mut clicker, false);
            self.finish(clicker, caused(Expected::DeviceId, &click));
        } else {
            self.finish(clicker, Truth::NoInstall);
        }
        for _ in 0..self.rng.random_range(1..=2) {
            let id = self.kochava_device_id();
            let device = model.twin(&mut self.rng, Consent::Granted, id);
            let installed = Some(self.past());
            let mut stranger = Draft { device, home, installed, steps: Vec::new() };
            self.install(&mut stranger, false);
            self.finish(stranger, Truth::Organic { stranger: true });
        }
    }

    /// Nothing on the wire tells these two apart: where modeled matching is bound to make mistakes.
    fn neighbours(&mut self, home: Household) {
        let consent = self.any_consent();
        let mut clicker = self.draft(home, None, consent);
        let click = self.engagement(&clicker, false);
        let step = self.click(&clicker, &click, MODELED_AGE_MAX);
        clicker.steps.push(step);
        let id = self.kochava_device_id();
        let device = clicker.device.twin(&mut self.rng, consent, id);
        self.install(&mut clicker, false);
        self.finish(clicker, caused(Expected::Modeled, &click));
        let installed = Some(self.past());
        let mut neighbour = Draft { device, home, installed, steps: Vec::new() };
        let mut truth = Truth::Organic { stranger: false };
        if self.rng.random_bool(0.5) {
            let mut own = self.engagement(&neighbour, false);
            own.network = (click.network + 1) % NETWORKS;
            let step = self.click(&neighbour, &own, MODELED_AGE_MAX);
            neighbour.steps.push(step);
            truth = caused(Expected::Modeled, &own);
        }
        self.install(&mut neighbour, false);
        self.finish(neighbour, truth);
    }

    fn search_ads(&mut self, home: Household) {
        let consent = self.any_consent();
        let mut draft = self.draft(home, Some(Platform::Ios), consent);
        let installed = draft.installed.unwrap_or(self.plan.until - HOUR);
        draft.installed = Some(installed);
        let clicked = installed - self.rng.random_range(5 * MINUTE..5 * DAY);
        let mut step = self.install_step(&draft, false);
        if let Action::Install(install) = &mut step.action {
            install.search_ads = Some(clicked);
        }
        draft.steps.push(step);
        self.finish(draft, Truth::SearchAds);
    }

    fn viewer(&mut self, home: Household) {
        let mut draft = self.draft(home, None, Consent::Granted);
        draft.installed = Some(self.past());
        let view = self.engagement(&draft, true);
        let step = self.step(&draft, VIEW_AGE_MAX, Action::Impression(view.clone()));
        self.twice(&mut draft, step);
        self.install(&mut draft, false);
        self.finish(draft, caused(Expected::DeviceId, &view));
    }

    fn passerby(&mut self, home: Household) {
        let with_id = self.rng.random_bool(0.6);
        let draft = &mut self.draft(home, None, Consent::Granted);
        for _ in 0..self.rng.random_range(1..=2) {
            let click = self.engagement(draft, with_id);
            let step = self.click(draft, &click, MODELED_AGE_MAX);
            self.twice(draft, step);
        }
        let person =
            Person { device: draft.device.clone(), truth: Truth::NoInstall, steps: draft.steps.clone() };
        self.people.push(person);
    }

    fn wrong_app(&mut self, home: Household) {
        let mut draft = self.draft(home, None, Consent::Granted);
        let mut click = self.engagement(&draft, true);
        click.app = click.app.other();
        let step = self.click(&draft, &click, CLICK_AGE_MAX);
        draft.steps.push(step);
        self.install(&mut draft, false);
        self.finish(draft, Truth::Organic { stranger: false });
    }

    fn draft(&mut self, home: Household, platform: Option<Platform>, consent: Consent) -> Draft {
        let platform = platform.unwrap_or_else(|| Platform::ALL[usize::from(self.rng.random_bool(0.5))]);
        let consent = if platform == Platform::Android { Consent::Granted } else { consent };
        let id = self.kochava_device_id();
        let device = Device::draw(&mut self.rng, platform, consent, id);
        let installed = self.rng.random_bool(0.8).then(|| self.past());
        Draft { device, home, installed, steps: Vec::new() }
    }

    /// An earlier click or impression of another network: seen, forgotten, and an honest loser.
    fn earlier_ads(&mut self, draft: &mut Draft) {
        let Some(installed) = draft.installed.filter(|_| self.rng.random_bool(0.3)) else { return };
        let ad = self.engagement(draft, true);
        let impression = self.rng.random_bool(0.5);
        // Clicks of the winner are at most `CLICK_AGE_MAX` old; this one lies before that.
        let age = CLICK_AGE_MAX + self.rng.random_range(HOUR..5 * DAY);
        let action = if impression { Action::Impression(ad) } else { Action::Click(ad) };
        draft.steps.push(Step { time: Some(installed - age), clock: self.clock(), action });
    }

    /// A click of another network after the install: never counts.
    fn later_click(&mut self, draft: &mut Draft) {
        let Some(installed) = draft.installed.filter(|_| self.rng.random_bool(0.15)) else { return };
        let ad = self.engagement(draft, true);
        // Beyond the allowed clock skew of two minutes.
        let time = Some(installed + self.rng.random_range(5 * MINUTE..9 * MINUTE));
        draft.steps.push(Step { time, clock: self.clock(), action: Action::Click(ad) });
    }

    /// Sends a step, now and then twice: the same click reported twice is one cause.
    fn twice(&mut self, draft: &mut Draft, step: Step) {
        if self.rng.random_bool(0.1) {
            draft.steps.push(step.clone());
        }
        draft.steps.push(step);
    }

    fn engagement(&mut self, draft: &Draft, with_id: bool) -> Engagement {
        let id = if with_id {
            match self.rng.random_range(0..4) {
                0 => LinkId::Plain,
                1 => LinkId::Typed,
                _ => LinkId::Hashed {
                    hash: if self.rng.random_bool(0.5) { Hash::Md5 } else { Hash::Sha1 },
                    upper: self.rng.random_bool(0.5),
                    dashes: self.rng.random_bool(0.7),
                },
            }
        } else {
            LinkId::None { placeholder: self.rng.random_bool(0.3) }
        };
        let number = self.number();
        Engagement {
            network: self.rng.random_range(0..NETWORKS),
            app: draft.device.platform,
            id,
            caller: if self.rng.random_bool(0.5) { Caller::Browser } else { Caller::Server },
            click_id: format!("p{:x}-{number}", self.plan.seed),
            site_id: format!("site-{}", self.rng.random_range(1..=20)),
            ip: draft.home.address(&mut self.rng),
        }
    }

    fn click(&mut self, draft: &Draft, click: &Engagement, age_max: i64) -> Step {
        self.step(draft, age_max, Action::Click(click.clone()))
    }

    /// A step before the install; soon before it more often than long before.
    fn step(&mut self, draft: &Draft, age_max: i64, action: Action) -> Step {
        let part: f64 = self.rng.random();
        #[expect(clippy::cast_possible_truncation, reason = "at most `age_max`")]
        #[expect(clippy::cast_precision_loss, reason = "weeks in seconds are exact")]
        let age = (part.powi(3) * (age_max - MINUTE) as f64) as i64 + MINUTE;
        Step { time: draft.installed.map(|time| time - age), clock: self.clock(), action }
    }

    fn install(&mut self, draft: &mut Draft, referrer: bool) {
        let step = self.install_step(draft, referrer);
        draft.steps.push(step);
    }

    fn install_step(&mut self, draft: &Draft, referrer: bool) -> Step {
        let user_id = self.rng.random_bool(0.15).then(|| format!("u-{}", self.number()));
        let install = Install {
            ip: draft.home.address(&mut self.rng),
            user_agent: self.rng.random_bool(0.7),
            referrer,
            search_ads: None,
            user_id,
        };
        Step { time: draft.installed, clock: self.clock(), action: Action::Install(install) }
    }

    /// Adds what people do once they have the app, and takes the person in.
    fn finish(&mut self, mut draft: Draft, truth: Truth) {
        if truth != Truth::NoInstall {
            self.after(&mut draft);
        }
        self.people.push(Person { device: draft.device, truth, steps: draft.steps });
    }

    /// A moment of the last two days, at least a quarter of an hour before the end.
    fn past(&mut self) -> i64 {
        self.plan.until - self.rng.random_range(15 * MINUTE..INSTALLS_SPAN)
    }

    fn any_consent(&mut self) -> Consent {
        match self.rng.random_range(0..10) {
            0..3 => Consent::Granted,
            3..9 => Consent::Refused,
            _ => Consent::GrantedLater,
        }
    }

    fn clock(&mut self) -> Clock {
        match self.rng.random_range(0..4) {
            0 => Clock::Text,
            1 => Clock::Millis,
            _ => Clock::Seconds,
        }
    }

    fn number(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    fn kochava_device_id(&mut self) -> String {
        let number = self.number();
        format!("SIM-{:x}-{number}-{:08x}", self.plan.seed, self.rng.next_u32())
    }
}

fn caused(expected: Expected, ad: &Engagement) -> Truth {
    Truth::Ad { expected, network: ad.network, click_id: ad.click_id.clone() }
}

#[cfg(test)]
mod tests;
