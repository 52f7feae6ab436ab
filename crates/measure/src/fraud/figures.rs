//! What rules count: the clicks and installs of the open and of the last closed hour, and runs of
//! engagements of one device. Everything is bounded; what no longer fits is counted with its network, or not
//! at all, and never against anyone.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Mode, Rule, Rules, Seen, Threshold};
use crate::{
    NetworkId, Timestamp,
    attribution::{Candidate, LosingReason},
    engagement::{Engagement, EngagementKind, IpKey, LinkIdentifier, Touch},
    time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS},
};

/// Networks and sites of an app counted in one hour. Further sites count for their network only.
const SOURCES_MAX: usize = 10_000;
/// Addresses, and devices, of an app counted in one hour. Further ones are not told apart.
const KEYS_MAX: usize = 50_000;
/// What has fewer clicks than this in an hour is forgotten when the hour closes: no threshold is lower.
pub(super) const CLICKS_KEPT: u32 = 10;
/// Runs of engagements of an app followed at once.
const RUNS_MAX: usize = 50_000;
/// How far an hour must lie before the open one to show that the clock had been ahead.
const HOURS_AHEAD: i64 = 24;
/// How often a full table of runs is looked through for some that have ended.
const SWEEP_MS: i64 = 10 * SECOND_MS;

/// Clicks and installs of a network or site in one hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Clicks received.
    pub clicks: u32,
    /// Installs decided that it has the best claim to, hourly rules aside: what they reject still counts,
    /// or a source once rejected would be so for ever.
    pub installs: u32,
    /// Those of them a day or more after the engagement.
    pub late: u32,
}

/// The figures of the last closed hour as far as they concern one engagement: resolved before a decision
/// and stored in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HourFigures {
    /// When that hour began.
    pub hour: Timestamp,
    /// Of the network.
    pub network: Counts,
    /// Of the site, where the engagement names one that was counted apart.
    pub site: Option<Counts>,
    /// Clicks from the address.
    pub ip_clicks: u32,
    /// Clicks of the device.
    pub device_clicks: u32,
}

/// One hour of one app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Hour {
    /// Hours since the epoch.
    number: i64,
    /// By network (no site) and by site.
    sources: BTreeMap<(NetworkId, Option<u64>), Counts>,
    ips: BTreeMap<u64, u32>,
    devices: BTreeMap<u64, u32>,
}

/// A run of engagements: how many so far, and when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    until: Timestamp,
    count: u32,
}

/// What is counted for one app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// The last fact that is counted here.
    pub sequence: u64,
    open: Hour,
    closed: Hour,
    runs: BTreeMap<u64, Run>,
    swept: Timestamp,
}

/// What a site of a network is counted under.
#[must_use]
pub fn site_key(network: NetworkId, site: &str) -> u64 {
    hash(&[b"site", &network.0.to_be_bytes(), site.as_bytes()])
}

/// What a device is counted under; `None` without an identifier.
fn device_key(identifiers: &[LinkIdentifier]) -> Option<u64> {
    let key = |identifier: &LinkIdentifier| match identifier {
        LinkIdentifier::Plain(plain) => {
            (plain.kind.lookup_rank(), hash(&[plain.kind.name().as_bytes(), plain.canonical().as_bytes()]))
        }
        LinkIdentifier::Hashed(kind, digest) => (kind.lookup_rank(), hash(&[digest.as_str().as_bytes()])),
    };
    identifiers.iter().map(key).min().map(|(_, key)| key)
}

/// What tells the devices of runs apart: the identifier, else address and user agent. `None` without either:
/// half of a network's users would be one device.
pub(super) fn run_key(engagement: &Engagement) -> Option<u64> {
    device_key(&engagement.identifiers).or_else(|| {
        let ip = engagement.user_ip()?.to_string();
        Some(hash(&[ip.as_bytes(), engagement.user_agent.as_deref().unwrap_or_default().as_bytes()]))
    })
}

/// The run of a device with a network and site.
fn capped_key(engagement: &Engagement, device: u64) -> u64 {
    hash(&[
        b"cap",
        engagement.kind.name().as_bytes(),
        &device.to_be_bytes(),
        &engagement.network.0.to_be_bytes(),
        engagement.site_id.as_deref().unwrap_or_default().as_bytes(),
    ])
}

/// The run of a device with whomever.
fn stacked_key(device: u64) -> u64 {
    hash(&[b"stack", &device.to_be_bytes()])
}

fn ip_key(ip: IpKey) -> u64 {
    match ip.0 {
        IpAddr::V4(v4) => hash(&[&v4.octets()]),
        IpAddr::V6(v6) => hash(&[&v6.octets()]),
    }
}

fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte))
}

impl Hour {
    fn count(&mut self, network: NetworkId, site: Option<u64>, add: impl Fn(&mut Counts)) {
        for place in [Some((network, None)), site.map(|site| (network, Some(site)))].into_iter().flatten() {
            if self.sources.len() < SOURCES_MAX || self.sources.contains_key(&place) {
                add(self.sources.entry(place).or_default());
            }
        }
    }
}

fn count_key(keys: &mut BTreeMap<u64, u32>, key: Option<u64>) {
    let Some(key) = key else { return };
    if keys.len() < KEYS_MAX || keys.contains_key(&key) {
        let clicks = keys.entry(key).or_default();
        *clicks = clicks.saturating_add(1);
    }
}

impl Figures {
    /// Goes on to the hour of `now`. Says whether an hour was closed.
    pub fn advance(&mut self, now: Timestamp) -> bool {
        let number = now.millis().div_euclid(HOUR_MS);
        if self.open.number.saturating_sub(number) > HOURS_AHEAD {
            // Or the clock, once it is right again, would close no hour for as long as it had been ahead.
            let sequence = self.sequence;
            *self = Self { sequence, ..Self::default() };
        }
        if number <= self.open.number {
            return false;
        }
        let mut last = std::mem::replace(&mut self.open, Hour { number, ..Hour::default() });
        if last.number + 1 != number {
            // Nothing came in the hour before.
            last = Hour { number: number - 1, ..Hour::default() };
        }
        last.ips.retain(|_, clicks| *clicks >= CLICKS_KEPT);
        last.devices.retain(|_, clicks| *clicks >= CLICKS_KEPT);
        self.closed = last;
        true
    }

    /// Counts a click into its hour. Impressions are not counted.
    pub fn count_touch(&mut self, touch: &Touch) {
        if touch.kind != EngagementKind::Click {
            return;
        }
        self.open.count(touch.network, touch.site, |counts| counts.clicks = counts.clicks.saturating_add(1));
        count_key(&mut self.open.ips, touch.ip.map(ip_key));
        count_key(&mut self.open.devices, device_key(&touch.identifiers));
    }

    /// Counts an install, by its candidates, for the one that has the best claim to it, whatever hourly
    /// rules say.
    pub fn count_install(&mut self, candidates: &[Candidate]) {
        let hourly = |lost| {
            matches!(
                lost,
                Some(LosingReason::Rejected(
                    Rule::ClickFlooding | Rule::TtiDistribution | Rule::HighVolumeIp | Rule::HighVolumeDevice
                ))
            )
        };
        let claims = candidates.iter().filter(|candidate| candidate.lost.is_none() || hourly(candidate.lost));
        let best = claims.min_by_key(|candidate| {
            (candidate.rank, std::cmp::Reverse((candidate.time, candidate.content_key, candidate.touch)))
        });
        if let Some(best) = best {
            self.open.count(best.network, best.site, |counts| {
                counts.installs = counts.installs.saturating_add(1);
                counts.late = counts.late.saturating_add(u32::from(best.age_ms >= DAY_MS));
            });
        }
    }

    /// What the last closed hour says about an engagement.
    #[must_use]
    pub fn of(&self, touch: &Touch) -> HourFigures {
        let hour = &self.closed;
        let source = |site| hour.sources.get(&(touch.network, site)).copied();
        let of_ip = touch.ip.and_then(|ip| hour.ips.get(&ip_key(ip)));
        let of_device = device_key(&touch.identifiers).and_then(|key| hour.devices.get(&key));
        HourFigures {
            hour: Timestamp(hour.number.saturating_mul(HOUR_MS)),
            network: source(None).unwrap_or_default(),
            site: touch.site.and_then(|site| source(Some(site))),
            ip_clicks: of_ip.copied().unwrap_or_default(),
            device_clicks: of_device.copied().unwrap_or_default(),
        }
    }

    /// Counts an engagement into the runs of its device that rules in force look at.
    pub fn observe(&mut self, engagement: &Engagement, received: Timestamp, rules: &Rules<'_>) -> Seen {
        let on = |rule| rules.mode(rule).0 != Mode::Off;
        let mut seen = Seen::default();
        if !on(Rule::FrequencyCap) && !on(Rule::AdStacking) {
            return seen;
        }
        let Some(device) = run_key(engagement) else { return seen };
        let span =
            |threshold, unit| i64::try_from(rules.threshold(threshold)).unwrap_or(1).saturating_mul(unit);
        if on(Rule::FrequencyCap) {
            let key = capped_key(engagement, device);
            seen.capped = self.run(key, received, span(Threshold::CappedMinutes, MINUTE_MS));
        }
        if on(Rule::AdStacking) && engagement.kind == EngagementKind::Click {
            let key = stacked_key(device);
            seen.stacked = self.run(key, received, span(Threshold::StackedSeconds, SECOND_MS));
        }
        seen
    }

    /// Forgets what an engagement's device and address were counted under, in every hour and run: a hash of
    /// an identifier still tells of somebody to whoever can guess it.
    pub fn forget(&mut self, engagement: &Engagement) {
        let identifiers = engagement.identifiers.chunks(1).filter_map(device_key);
        let device = run_key(engagement);
        let keys: Vec<u64> = identifiers.chain(device).collect();
        for hour in [&mut self.open, &mut self.closed] {
            keys.iter().for_each(|key| {
                hour.devices.remove(key);
            });
            if let Some(ip) = engagement.user_ip() {
                hour.ips.remove(&ip_key(ip.into()));
            }
        }
        if let Some(device) = device {
            self.runs.remove(&capped_key(engagement, device));
            self.runs.remove(&stacked_key(device));
        }
    }

    /// The place of an engagement in its run, which begins with its first and lasts `span_ms`; `None` when
    /// there is no room for another run.
    fn run(&mut self, key: u64, now: Timestamp, span_ms: i64) -> Option<u32> {
        if self.runs.len() >= RUNS_MAX && now.since(self.swept) >= SWEEP_MS {
            self.swept = now;
            self.runs.retain(|_, run| run.until > now);
        }
        let is_full = self.runs.len() >= RUNS_MAX;
        let fresh = Run { until: now.plus(span_ms), count: 1 };
        match self.runs.entry(key) {
            Entry::Vacant(_) if is_full => None,
            Entry::Vacant(place) => Some(place.insert(fresh).count),
            Entry::Occupied(mut place) => {
                let run = place.get_mut();
                *run =
                    if run.until > now { Run { count: run.count.saturating_add(1), ..*run } } else { fresh };
                Some(run.count)
            }
        }
    }
}
