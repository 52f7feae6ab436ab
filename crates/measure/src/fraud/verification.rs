//! The traffic verifier of a tracker: `verification_rules` (tracking-and-attribution.md section 14).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Rule, Verdict, figure};
use crate::{Timestamp, engagement::Engagement, install::Install, platform::Traits};

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
        let seconds = received.seconds();
        if self.valid_from.is_some_and(|from| seconds < from) {
            return (Verdict::Caught, vec![figure("valid_traffic_date_start", self.valid_from.unwrap_or(0))]);
        }
        if self.valid_until.is_some_and(|until| seconds > until) {
            return (Verdict::Caught, vec![figure("valid_traffic_date_end", self.valid_until.unwrap_or(0))]);
        }
        self.check_traits(&engagement.traits)
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
        for (name, value) in [("country", install.origin.country.as_deref()), ("device_language", language)] {
            match (self.listed(name, value), value) {
                (Some(broken), _) => return (Verdict::Caught, broken),
                (None, None) if self.has_lists(name) => unknown.push(figure(name, "unknown")),
                (None, _) => {}
            }
        }
        let geo =
            ["city", "dma", "postal", "state", "receipt_status"].iter().filter(|name| self.has_lists(name));
        unknown.extend(geo.map(|name| figure(name, "unknown")));
        if unknown.is_empty() { traits } else { (Verdict::NoDatabase, unknown) }
    }

    /// Platform, OS version and model. Whoever asks for one of the first two wants to know it: traffic that
    /// does not tell its OS fails. A model that is not known does not speak against anyone.
    fn check_traits(&self, traits: &Traits) -> Checked {
        let platform = traits.os.as_ref().map(|os| os.name());
        let version = traits.os_version.as_deref();
        let wants_os = self.has_lists("platform") || self.has_lists("os_version");
        if wants_os && platform.is_none() {
            return (Verdict::Caught, vec![figure("platform", "unknown")]);
        }
        let values = [
            ("platform", platform),
            ("os_version", version),
            ("device_version", version),
            ("device_type", traits.model.as_deref()),
        ];
        for (name, value) in values {
            if let Some(broken) = self.listed(name, value) {
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

    /// What a value breaks: it is not on the list of those that pass, or on the list of those that do not.
    fn listed(&self, name: &str, value: Option<&str>) -> Option<Vec<(String, String)>> {
        let value = value?;
        let holds = |list: &[String]| list.iter().any(|listed| listed.eq_ignore_ascii_case(value));
        let inside = self.lists.get(&format!("{name}_in")).filter(|list| !list.is_empty());
        if inside.is_some_and(|list| !holds(list)) {
            return Some(vec![figure(name, value), figure("list", format!("{name}_in"))]);
        }
        let outside = self.lists.get(&format!("{name}_not_in"));
        outside
            .is_some_and(|list| holds(list))
            .then(|| vec![figure(name, value), figure("list", format!("{name}_not_in"))])
    }
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
