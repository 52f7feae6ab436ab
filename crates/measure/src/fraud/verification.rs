//! The traffic verifier of a tracker: `verification_rules` (tracking-and-attribution.md section 14).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Rule, Verdict, figure};
use crate::{
    Timestamp,
    device::Origin,
    engagement::Engagement,
    install::Install,
    place::Country,
    platform::{Os, Traits},
};

/// What still happens to traffic that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailAction {
    /// Kept and shown; nothing of ours appends parameters.
    pub append_param: bool,
    /// Whether postbacks about it are sent; otherwise they are suppressed, `traffic_failed`.
    pub deliver_postback: bool,
    /// Kept and shown: reconciliation reads it.
    pub reconcile: bool,
}

impl Default for FailAction {
    fn default() -> Self {
        Self { append_param: false, deliver_postback: true, reconcile: false }
    }
}

/// A traffic verifier. Every list that is not empty has to be met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Verification {
    /// Whether it is on.
    pub enabled: bool,
    /// What happens to traffic that fails.
    pub fail_action: FailAction,
    /// The lists by their names on the wire (`country_in`, `os_version_less_than`, …), lower case.
    pub lists: BTreeMap<String, Vec<String>>,
    /// Epoch seconds before which traffic is not valid.
    pub valid_from: Option<i64>,
    /// Epoch seconds after which traffic is not valid.
    pub valid_until: Option<i64>,
    /// The install referrer has to name the click.
    pub utm_source_required: bool,
    /// The install referrer must not name a click.
    pub utm_source_forbidden: bool,
    /// The install referrer has to give the time of the click.
    pub referrer_click_time_required: bool,
    /// Rules that it turns on for its tracker: the blocklist, the caps, the minimum time to install.
    pub rules: Vec<Rule>,
}

/// What a check came to, and what it saw.
pub(super) type Checked = (Verdict, Vec<(String, String)>);

impl Verification {
    /// Whether it turns a rule on. The verifier itself counts as one.
    #[must_use]
    pub fn asks_for(&self, rule: Rule) -> bool {
        rule == Rule::Verification || self.rules.contains(&rule)
    }

    /// Checks what a click or impression says of itself.
    pub(super) fn check_engagement(&self, engagement: &Engagement, received: Timestamp) -> Checked {
        let dated = self.check_date(received);
        if dated.0 == Verdict::Caught {
            return dated;
        }
        let country = engagement.place.country;
        let country: Vec<&str> = country.iter().map(Country::as_str).collect();
        match self.listed("country", &country) {
            Some(broken) => (Verdict::Caught, broken),
            None => self.check_traits(&engagement.traits),
        }
    }

    /// Checks when something came in: outside of its dates no traffic is valid.
    pub(super) fn check_date(&self, received: Timestamp) -> Checked {
        let seconds = received.seconds();
        if self.valid_from.is_some_and(|from| seconds < from) {
            return (Verdict::Caught, vec![figure("valid_traffic_date_start", self.valid_from.unwrap_or(0))]);
        }
        if self.valid_until.is_some_and(|until| seconds > until) {
            return (Verdict::Caught, vec![figure("valid_traffic_date_end", self.valid_until.unwrap_or(0))]);
        }
        (Verdict::Passed, Vec::new())
    }

    /// Checks what only the install tells.
    pub(super) fn check_install(&self, install: &Install, is_named: bool) -> Checked {
        let caught = |name: &str| (Verdict::Caught, vec![figure(name, true)]);
        if self.utm_source_required && !is_named {
            return caught("utm_source_match_required");
        }
        if self.utm_source_forbidden && is_named {
            return caught("utm_source_match_forbidden");
        }
        let has_click_time = install.click.as_ref().is_some_and(|click| click.click_time.is_some());
        if self.referrer_click_time_required && !has_click_time {
            return caught("referrer_click_time_required");
        }
        let traits = self.check_traits(&install.origin.traits);
        if traits.0 == Verdict::Caught {
            return traits;
        }
        let language = install
            .params
            .iter()
            .find(|(name, _)| matches!(name.as_str(), "device_language" | "language"))
            .map(|(_, value)| value.text());
        let mut unknown = Vec::new();
        let mut is_without_database = false;
        for Told { name, values, asked } in told(&install.origin, language) {
            match self.listed(name, &values) {
                Some(broken) => return (Verdict::Caught, broken),
                None if values.is_empty() && self.has_lists(name) => {
                    unknown.push(figure(name, "unknown"));
                    is_without_database |= !asked;
                }
                None => {}
            }
        }
        if unknown.is_empty() {
            traits
        } else if is_without_database {
            (Verdict::NoDatabase, unknown)
        } else {
            (Verdict::TooLittle, unknown)
        }
    }

    /// Platform, OS version and model. Whoever asks for one of the first two wants to know it: traffic that
    /// does not tell its OS fails. A model that is not known does not speak against anyone.
    fn check_traits(&self, traits: &Traits) -> Checked {
        let version = traits.os_version.as_deref();
        let wants_os = self.has_lists("platform") || self.has_lists("os_version");
        if wants_os && traits.os.is_none() {
            return (Verdict::Caught, vec![figure("platform", "unknown")]);
        }
        let values = [
            ("platform", platforms(traits)),
            ("os_version", version.into_iter().collect()),
            ("device_version", version.into_iter().collect()),
            ("device_type", traits.model.as_deref().into_iter().collect()),
        ];
        for (name, values) in values {
            if let Some(broken) = self.listed(name, &values) {
                return (Verdict::Caught, broken);
            }
        }
        let Some(version) = version else { return (Verdict::Passed, Vec::new()) };
        for (name, wrong) in [
            ("os_version_greater_than", std::cmp::Ordering::Greater),
            ("os_version_less_than", std::cmp::Ordering::Less),
        ] {
            let bounds = self.lists.get(name).into_iter().flatten();
            for bound in bounds {
                // The name says what passes: versions greater than the bound.
                if compare_versions(version, bound) != wrong {
                    return (Verdict::Caught, vec![figure("os_version", version), figure(name, bound)]);
                }
            }
        }
        (Verdict::Passed, Vec::new())
    }

    fn has_lists(&self, name: &str) -> bool {
        self.lists.iter().any(|(list, values)| {
            !values.is_empty()
                && list
                    .strip_prefix(name)
                    .is_some_and(|rest| matches!(rest, "_in" | "_not_in" | "_greater_than" | "_less_than"))
        })
    }

    /// What values of one thing, one name of it or several, break: none of them is on the list of those that pass, or
    /// one is on the list of those that do not. What is not known breaks nothing.
    fn listed(&self, name: &str, values: &[&str]) -> Option<Vec<(String, String)>> {
        let value = values.first()?;
        let holds = |list: &[String]| {
            list.iter().any(|listed| values.iter().any(|value| is_listed(name, listed, value)))
        };
        let broken = |list: &str| Some(vec![figure(name, value), figure("list", format!("{name}{list}"))]);
        let inside = self.lists.get(&format!("{name}_in")).filter(|list| !list.is_empty());
        if inside.is_some_and(|list| !holds(list)) {
            return broken("_in");
        }
        let outside = self.lists.get(&format!("{name}_not_in"));
        if outside.is_some_and(|list| holds(list)) { broken("_not_in") } else { None }
    }
}

/// Whether a list of `name` means a value by `listed`: a platform by any of its names.
fn is_listed(name: &str, listed: &str, value: &str) -> bool {
    listed.eq_ignore_ascii_case(value)
        || name == "platform"
            && Os::named(listed).zip(Os::named(value)).is_some_and(|(one, other)| one == other)
}

/// The platform, and Android where its apps run: a list that names it means them.
fn platforms(traits: &Traits) -> Vec<&str> {
    let android = traits.os.iter().filter(|os| os.runs_android_apps()).map(|_| Os::Android.name());
    traits.os.iter().map(Os::name).chain(android).collect()
}

/// What is known of one thing that lists may be about.
struct Told<'a> {
    name: &'static str,
    /// Its names; empty when it is not known.
    values: Vec<&'a str>,
    /// Whether there was anybody to ask.
    asked: bool,
}

/// What an install tells of where it is and of its language, itself and by its address.
fn told<'a>(origin: &'a Origin, language: Option<&'a str>) -> [Told<'a>; 7] {
    let known =
        |name, value: Option<&'a str>, asked| Told { name, values: value.into_iter().collect(), asked };
    let place = origin.locality.as_ref();
    let regions = place.map(|place| place.regions.iter().map(String::as_str).collect()).unwrap_or_default();
    [
        known("country", origin.country.as_deref(), origin.place.has_countries),
        known("device_language", language, true),
        known("city", place.and_then(|place| place.city.as_deref()), place.is_some()),
        known("postal", place.and_then(|place| place.postal.as_deref()), place.is_some()),
        known("dma", place.and_then(|place| place.dma.as_deref()), place.is_some()),
        Told { name: "state", values: regions, asked: place.is_some() },
        // Nobody validates receipts here, and no database of addresses could.
        known("receipt_status", None, true),
    ]
}

/// Compares versions number by number; what is missing counts as 0.
fn compare_versions(one: &str, other: &str) -> std::cmp::Ordering {
    let numbers = |text: &str| -> Vec<u64> {
        text.split('.').map(|part| part.trim().parse().unwrap_or_default()).collect()
    };
    let (mut one, mut other) = (numbers(one), numbers(other));
    let length = one.len().max(other.len());
    one.resize(length, 0);
    other.resize(length, 0);
    one.cmp(&other)
}
