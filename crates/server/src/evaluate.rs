//! `sextant evaluate`: how right attribution is, on simulated towns whose truth is known
//! ([`simulate::city`]). The calls go through the same parsers, engine and rules as those of a server, in
//! memory and at the times of the town, once for every setting that is compared.

mod score;
mod tables;
#[cfg(test)]
mod tests;
mod town;

use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use measure::{
    fraud::{FraudSettings, Mode, Rule, Threshold, Verification},
    policy::{AppPolicy, Window},
};
use simulate::city::HOME;

use self::{score::Score, town::Town};

/// Options of `sextant evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateOptions {
    /// People in the town
    #[arg(long, value_name = "N", default_value_t = 20_000, env = "SEXTANT_EVALUATE_PEOPLE",
          value_parser = clap::value_parser!(u64).range(1_000..=50_000))]
    people: u64,
    /// Clicks that the fraudulent network makes up for each person
    #[arg(long, value_name = "N", default_value_t = 10, env = "SEXTANT_EVALUATE_FLOOD",
          value_parser = clap::value_parser!(u32).range(1..=500))]
    flood: u32,
    /// The same seed gives the same town
    #[arg(long, value_name = "S", default_value_t = 1, env = "SEXTANT_EVALUATE_SEED")]
    seed: u64,
}

/// Settings to be compared with the others.
struct Variation {
    name: &'static str,
    /// Whether the town has fraud in it.
    fraud: bool,
    set: fn(&mut Settings),
}

/// The settings of both apps of a town.
#[derive(Clone, Debug, Default)]
struct Settings {
    policy: AppPolicy,
    rules: FraudSettings,
    /// The verifier of every tracker.
    verification: Option<Verification>,
}

impl Settings {
    fn of(variation: &Variation) -> Self {
        let mut settings = Self::default();
        (variation.set)(&mut settings);
        settings
    }

    fn reject(&mut self, rule: Rule) {
        self.rules.modes.insert(rule, Mode::Reject);
    }

    /// Turns a rule of the blocklist on.
    fn listed(&mut self, rule: Rule) {
        self.rules.blocklist = true;
        self.reject(rule);
    }
}

const DEFAULTS: &str = "defaults";

/// The settings of modeled matching, in a town of honest people.
const MODES: [Variation; 8] = [
    Variation { name: DEFAULTS, fraud: false, set: |_| {} },
    Variation {
        name: "attribution.refuse_ambiguous = true",
        fraud: false,
        set: |settings| settings.policy.ladder.refuse_ambiguous = Some(true),
    },
    Variation {
        name: "attribution.modeled_single_use = true",
        fraud: false,
        set: |settings| settings.policy.modeled_single_use = Some(true),
    },
    Variation {
        name: "attribution.windows.click_modeled = \"24h\"",
        fraud: false,
        set: |settings| settings.policy.windows.click_modeled = Some(Window::Seconds(86_400)),
    },
    Variation {
        name: "attribution.windows.click_modeled = \"1h\"",
        fraud: false,
        set: |settings| settings.policy.windows.click_modeled = Some(Window::Seconds(3_600)),
    },
    Variation {
        name: "the same, refusing ambiguous ones",
        fraud: false,
        set: |settings| {
            settings.policy.windows.click_modeled = Some(Window::Seconds(3_600));
            settings.policy.ladder.refuse_ambiguous = Some(true);
        },
    },
    Variation {
        name: "attribution.modeled_without_att = false",
        fraud: false,
        set: |settings| settings.policy.modeled_without_att = Some(false),
    },
    Variation {
        name: "no modeled matching",
        fraud: false,
        set: |settings| {
            settings.policy.windows.click_modeled = Some(Window::Disabled);
            settings.policy.windows.impression_modeled = Some(Window::Disabled);
        },
    },
];

/// The fraud rules that traffic can trigger without anybody's list or key, in a town with fraud.
const RULES: [Variation; 12] = [
    Variation { name: "no rule", fraud: true, set: |_| {} },
    Variation {
        name: "minimum_time_to_install",
        fraud: true,
        set: |settings| settings.reject(Rule::MinimumTimeToInstall),
    },
    Variation {
        name: "minimum_time_to_install, 45 s",
        fraud: true,
        set: |settings| {
            settings.reject(Rule::MinimumTimeToInstall);
            settings.rules.thresholds.insert(Threshold::MinimumSeconds, 45);
        },
    },
    Variation {
        name: "platform_mismatch",
        fraud: true,
        set: |settings| settings.reject(Rule::PlatformMismatch),
    },
    Variation { name: "frequency_cap", fraud: true, set: |settings| settings.reject(Rule::FrequencyCap) },
    Variation { name: "ad_stacking", fraud: true, set: |settings| settings.reject(Rule::AdStacking) },
    Variation { name: "high_volume_ip", fraud: true, set: |settings| settings.reject(Rule::HighVolumeIp) },
    Variation {
        name: "high_volume_device",
        fraud: true,
        set: |settings| settings.reject(Rule::HighVolumeDevice),
    },
    Variation {
        name: "anonymous_network, data centres known",
        fraud: true,
        set: |settings| settings.reject(Rule::AnonymousNetwork),
    },
    Variation {
        name: "tti_distribution",
        fraud: true,
        set: |settings| settings.reject(Rule::TtiDistribution),
    },
    Variation { name: "click_flooding", fraud: true, set: |settings| settings.reject(Rule::ClickFlooding) },
    Variation {
        name: "click_flooding, 5 %, from 50 clicks",
        fraud: true,
        set: |settings| {
            settings.reject(Rule::ClickFlooding);
            settings.rules.thresholds.insert(Threshold::FloodingInstalls, 5_000);
            settings.rules.thresholds.insert(Threshold::FloodingClicks, 50);
        },
    },
];

/// The fraud rules that go by what somebody knows, in a town with fraud: a database of countries, which places 2 of
/// 100 addresses wrongly; keys, which those who make clicks up do not have; the lists that an account has made of the
/// first two days of installs ([`town`]).
const KNOWING: [Variation; 6] = [
    Variation {
        name: "geo_mismatch, countries known",
        fraud: true,
        set: |settings| settings.reject(Rule::GeoMismatch),
    },
    Variation {
        name: "verification, country_in of the trackers",
        fraud: true,
        set: |settings| {
            let lists = [("country_in".to_owned(), vec![HOME.to_owned()])].into();
            settings.verification = Some(Verification { enabled: true, lists, ..Verification::default() });
        },
    },
    Variation {
        name: "click_validation, no key for made up clicks",
        fraud: true,
        set: |settings| settings.reject(Rule::ClickValidation),
    },
    Variation {
        name: "blocklist_device, the farm's phones after two days",
        fraud: true,
        set: |settings| settings.listed(Rule::BlocklistDevice),
    },
    Variation {
        name: "blocklist_ip, the farm's addresses after two days",
        fraud: true,
        set: |settings| settings.listed(Rule::BlocklistIp),
    },
    Variation {
        name: "blocklist_site, Floodgate's sites after two days",
        fraud: true,
        set: |settings| settings.listed(Rule::BlocklistSite),
    },
];

/// Everything at once that goes by traffic, tuned to the size of the town.
const TOGETHER: Variation = Variation {
    name: "all down to here, tuned",
    fraud: true,
    set: |settings| {
        for rule in &RULES[1..] {
            (rule.set)(settings);
        }
    },
};

/// `sextant evaluate`.
pub fn evaluate(options: &EvaluateOptions) -> anyhow::Result<()> {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg:28} {bar:40} {pos}/{len} calls, {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message("drawing two towns");
    let people = usize::try_from(options.people)?;
    let town =
        |flood| Town::draw(options.seed, people, flood).context("a call of the town was not understood");
    let (honest, with_fraud) = (town(0)?, town(options.flood)?);
    let variations: Vec<&Variation> = MODES.iter().chain(&RULES).chain([&TOGETHER]).chain(&KNOWING).collect();
    let of = |variation: &Variation| if variation.fraud { &with_fraud } else { &honest };
    bar.set_length(variations.iter().map(|variation| of(variation).inputs() as u64).sum());
    bar.set_message("deciding");
    let scores = in_parallel(&variations, |variation| {
        of(variation).decide(&Settings::of(variation), |done| bar.inc(done as u64))
    })?;
    bar.finish_and_clear();
    let scored: Vec<(&str, Score)> = variations.iter().map(|variation| variation.name).zip(scores).collect();
    let (modes, rules) = scored.split_at(MODES.len());
    tables::print(options, &honest, &with_fraud, modes, rules)
}

/// Runs `work` on every item, on two threads.
fn in_parallel<I: Sync, O: Send>(
    items: &[I],
    work: impl Fn(&I) -> anyhow::Result<O> + Sync,
) -> anyhow::Result<Vec<O>> {
    const THREADS: usize = 2;
    let next = Mutex::new(items.iter().enumerate());
    let done = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        let worker = || {
            loop {
                let taken = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((place, item)) = taken else { return };
                let outcome = work(item);
                done.lock().unwrap_or_else(PoisonError::into_inner).push((place, outcome));
            }
        };
        for _ in 0..THREADS {
            scope.spawn(worker);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}
