//! Rules that look at an engagement and the install it may have led to.

use std::collections::HashMap;

use super::{
    Finding, HourFigures, Mode, Rule, Rules, Threshold, Verdict,
    engagement::{listed, of, without_address},
    figure,
    verification::Checked,
};
use crate::{
    TouchId,
    attribution::{Candidate, LosingReason, Question},
    engagement::{EngagementKind, Touch},
    flag::Flag,
    platform::Os,
    time::{DAY_MS, SECOND_MS},
};

/// The rules that need figures of the last closed hour.
const HOURLY: [Rule; 4] =
    [Rule::ClickFlooding, Rule::TtiDistribution, Rule::HighVolumeIp, Rule::HighVolumeDevice];

/// Whether any rule in force needs figures of the last closed hour.
#[must_use]
pub fn wants_figures(rules: &Rules<'_>) -> bool {
    HOURLY.iter().any(|rule| rules.mode(*rule).0 != Mode::Off)
}

/// Adds to each candidate what the rules in force see in it, and bars those that one of them rejects and
/// that nothing else bars.
pub fn judge(question: &Question<'_>, candidates: &mut [Candidate]) {
    judge_by(question, candidates, "install", |_| true);
}

/// The same for an event that an engagement may have brought about, which stands in for the install: rules
/// about the way to an install do not look.
pub fn judge_reengagement(question: &Question<'_>, candidates: &mut [Candidate]) {
    judge_by(question, candidates, "event", |rule| {
        matches!(rule, Rule::BlocklistDevice | Rule::BlocklistIp | Rule::PlatformMismatch)
    });
}

/// `what` is what the record of the question is, for those who read what rules saw.
fn judge_by(
    question: &Question<'_>,
    candidates: &mut [Candidate],
    what: &'static str,
    looks: fn(Rule) -> bool,
) {
    let catalogue = question.catalogue;
    let touches: HashMap<TouchId, &Touch> = question.touches.iter().map(|touch| (touch.id, touch)).collect();
    for candidate in candidates {
        let touch = candidate.touch.and_then(|id| touches.get(&id).copied());
        if let Some(touch) = touch {
            candidate.site = touch.site;
            candidate.fraud.clone_from(&touch.findings);
        }
        if catalogue.has_fraud_settings() {
            let rules = Rules::of(catalogue, question.record.app, candidate.network, candidate.tracker);
            let case = Case { question, what, touch, candidate, rules };
            let findings: Vec<Finding> = case.findings(looks).collect();
            candidate.fraud.extend(findings);
        }
        if candidate.lost.is_none() {
            let rejecting = candidate.fraud.iter().find(|finding| finding.rejects());
            candidate.lost = rejecting.map(|finding| LosingReason::Rejected(finding.rule));
        }
    }
}

/// A candidate with everything that rules look at.
struct Case<'a> {
    question: &'a Question<'a>,
    what: &'static str,
    /// `None` for Apple's word, of which only the install is known.
    touch: Option<&'a Touch>,
    candidate: &'a Candidate,
    rules: Rules<'a>,
}

impl Case<'_> {
    fn findings(&self, looks: fn(Rule) -> bool) -> impl Iterator<Item = Finding> {
        let rules = Rule::ALL.iter().filter(move |rule| !rule.is_of_engagement() && looks(**rule));
        rules.filter_map(|rule| self.look(*rule))
    }

    /// What a rule says of the install beside what it said of the engagement when that came in: only what is
    /// stricter.
    fn look(&self, rule: Rule) -> Option<Finding> {
        let (mode, level) = self.rules.mode(rule);
        let said: Vec<&Finding> = self.candidate.fraud.iter().filter(|said| said.rule == rule).collect();
        if mode == Mode::Off || said.iter().any(|said| said.rejects()) {
            return None;
        }
        let (verdict, figures) = self.check(rule)?;
        let is_caught = verdict == Verdict::Caught;
        let is_stricter = is_caught && said.iter().all(|said| !said.is_caught() || said.mode < mode);
        (said.is_empty() || is_stricter).then_some(Finding { rule, mode, level, verdict, figures })
    }

    fn check(&self, rule: Rule) -> Option<Checked> {
        let origin = &self.question.record.install.origin;
        let blocklist = self.question.catalogue.blocklist();
        Some(match rule {
            Rule::BlocklistDevice => {
                let listing = origin.identifiers.iter().find_map(|id| blocklist.identifier(id));
                of(self.what, listed(listing))
            }
            Rule::BlocklistIp => of(self.what, listed(origin.ip.and_then(|ip| blocklist.ip(ip)))),
            Rule::Verification => {
                let is_named = self.question.record.install.click.as_ref().and_then(|click| click.touch)
                    == Some(self.touch?.id);
                let verifier = self.rules.verifier()?;
                of(self.what, verifier.check_install(&self.question.record.install, is_named))
            }
            Rule::MinimumTimeToInstall => self.minimum_time()?,
            Rule::PlatformMismatch => self.platform(self.touch?),
            Rule::GeoMismatch => self.geo(self.touch?),
            Rule::AnonymousNetwork => self.anonymous(),
            Rule::ClickFlooding => self.flooding()?,
            Rule::TtiDistribution => self.distribution()?,
            Rule::HighVolumeIp => match self.touch? {
                touch if touch.ip.is_none() => without_address(touch.ip_of_caller),
                _ => self.volume(|hour| hour.ip_clicks, Threshold::IpClicks)?,
            },
            Rule::HighVolumeDevice => match self.touch? {
                touch if touch.identifiers.is_empty() => {
                    (Verdict::TooLittle, vec![figure("device", "unknown")])
                }
                _ => self.volume(|hour| hour.device_clicks, Threshold::DeviceClicks)?,
            },
            Rule::BlocklistSite | Rule::ClickValidation | Rule::FrequencyCap | Rule::AdStacking => {
                return None;
            }
        })
    }

    /// Whole seconds are compared, and the threshold itself passes.
    fn minimum_time(&self) -> Option<Checked> {
        // Apple tells the minute of a click, and of some nothing.
        if self.candidate.kind != EngagementKind::Click || self.touch.is_none() {
            return None;
        }
        if self.candidate.flags.contains(&Flag::ClockSkew) {
            return Some((Verdict::TooLittle, vec![figure("clock_skew", true)]));
        }
        let seconds = self.candidate.age_ms.div_euclid(SECOND_MS);
        let least = self.rules.threshold(Threshold::MinimumSeconds);
        let caught = u64::try_from(seconds).is_ok_and(|seconds| seconds < least);
        Some((verdict(caught), vec![figure("seconds", seconds), figure("threshold", least)]))
    }

    fn platform(&self, touch: &Touch) -> Checked {
        let (click, install) = (&touch.traits.os, &self.question.record.install.origin.traits.os);
        let (Some(click), Some(install)) = (click, install) else {
            let told = |name, os: &Option<Os>| Some(figure(name, os.as_ref()?.name()));
            let told = [told("click", click), told("install", install)];
            return (Verdict::TooLittle, told.into_iter().flatten().collect());
        };
        // What cannot be told from Android is taken for it: a browser other than Amazon's own on Fire OS.
        let is_same = click.is_same(install) || click.runs_android_apps() && install.runs_android_apps();
        (verdict(!is_same), vec![figure("click", click.name()), figure("install", install.name())])
    }

    /// Compares the countries of both addresses, whatever country the sender names.
    fn geo(&self, touch: &Touch) -> Checked {
        let (click, install) = (touch.place, self.question.record.install.origin.place);
        let was_asked = install.has_countries && (click.has_countries || touch.ip.is_none());
        match (click.country, install.country) {
            _ if !was_asked => (Verdict::NoDatabase, Vec::new()),
            (Some(click), Some(install)) => {
                (verdict(click != install), vec![figure("click", click), figure("install", install)])
            }
            (None, Some(_)) if touch.ip.is_none() => without_address(touch.ip_of_caller),
            (click, install) => {
                let told = [("click", click), ("install", install)];
                let told = told.into_iter().filter_map(|(name, side)| Some(figure(name, side?)));
                (Verdict::TooLittle, told.collect())
            }
        }
    }

    /// Looks at every address there is: one that hides somebody is enough. Claims and Apple's word come from
    /// none.
    fn anonymous(&self) -> Checked {
        let hidden = |anonymous: bool| if anonymous { "anonymous" } else { "not anonymous" };
        let click = self.touch.filter(|touch| touch.ip.is_some()).map(|touch| touch.place.anonymous);
        let install = self.question.record.install.origin.place.anonymous;
        let sides = click.map(|click| ("click", click)).into_iter().chain([("install", install)]);
        let figures: Vec<_> =
            sides.clone().filter_map(|(name, side)| Some(figure(name, hidden(side?)))).collect();
        let is = |side: Option<bool>| sides.clone().any(|(_, one)| one == side);
        let verdict = if is(Some(true)) {
            Verdict::Caught
        } else if !is(None) {
            Verdict::Passed
        } else if is(Some(false)) {
            Verdict::TooLittle
        } else {
            Verdict::NoDatabase
        };
        (verdict, figures)
    }

    fn hour(&self) -> Option<&HourFigures> {
        self.question.figures.get(&self.touch?.id)
    }

    /// Looks at the site where it has clicks enough, else at the network.
    fn flooding(&self) -> Option<Checked> {
        let hour = self.hour()?;
        let from = self.rules.threshold(Threshold::FloodingClicks);
        let enough = |clicks: u32| u64::from(clicks) >= from;
        let (of, counts) = match hour.site.filter(|site| enough(site.clicks)) {
            Some(site) => ("site", site),
            None => ("network", hour.network),
        };
        let least = self.rules.threshold(Threshold::FloodingInstalls);
        let caught = u64::from(counts.installs) * 100_000 < u64::from(counts.clicks) * least;
        let verdict = if enough(counts.clicks) { verdict(caught) } else { Verdict::TooLittle };
        let figures = vec![
            figure("of", of),
            figure("clicks", counts.clicks),
            figure("installs", counts.installs),
            figure("threshold", least),
            figure("threshold_clicks", from),
            figure("hour", hour.hour.seconds()),
        ];
        Some((verdict, figures))
    }

    /// Catches late installs of a site or network that has too many of them.
    fn distribution(&self) -> Option<Checked> {
        let hour = self.hour()?;
        let from = self.rules.threshold(Threshold::LateInstalls);
        let enough = |installs: u32| u64::from(installs) >= from;
        let (of, counts) = match hour.site.filter(|site| enough(site.installs)) {
            Some(site) => ("site", site),
            None => ("network", hour.network),
        };
        let most = self.rules.threshold(Threshold::LateShare);
        let unusual = u64::from(counts.late) * 100 > u64::from(counts.installs) * most;
        let late = self.candidate.age_ms >= DAY_MS;
        let verdict = if enough(counts.installs) { verdict(unusual && late) } else { Verdict::TooLittle };
        let figures = vec![
            figure("of", of),
            figure("installs", counts.installs),
            figure("late_installs", counts.late),
            figure("threshold", most),
            figure("threshold_installs", from),
            figure("hour", hour.hour.seconds()),
        ];
        Some((verdict, figures))
    }

    fn volume(&self, read: fn(&HourFigures) -> u32, threshold: Threshold) -> Option<Checked> {
        let hour = self.hour()?;
        let (clicks, most) = (read(hour), self.rules.threshold(threshold));
        let figures =
            vec![figure("clicks", clicks), figure("threshold", most), figure("hour", hour.hour.seconds())];
        Some((verdict(u64::from(clicks) > most), figures))
    }
}

const fn verdict(caught: bool) -> Verdict {
    if caught { Verdict::Caught } else { Verdict::Passed }
}
