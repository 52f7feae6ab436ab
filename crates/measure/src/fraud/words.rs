//! What rules saw, in sentences: equal findings once, figures with what they mean, times as people write them.

use super::{Finding, Mode, Rule, Verdict, engagement::OF_CALLER, figures::CLICKS_KEPT};
use crate::{attribution::Candidate, engagement::EngagementKind, policy::Level};

/// What the rules saw in the candidates of a decision on `of`, an install or event, each with its name in words:
/// one sentence for all findings that say the same. What passed says the same whatever its figures; what did not
/// does so only of one network.
#[must_use]
pub fn sentences(candidates: &[(String, &Candidate)], of: &str) -> Vec<String> {
    let mut alike: Vec<Alike<'_>> = Vec::new();
    for (subject, candidate) in candidates {
        for finding in &candidate.fraud {
            match alike.iter_mut().find(|one| one.holds(candidate, finding)) {
                Some(one) => one.others.push(candidate.kind),
                None => alike.push(Alike { finding, candidate, subject, others: Vec::new() }),
            }
        }
    }
    alike.iter().map(|alike| alike.sentence(of)).collect()
}

/// Findings that say the same, by the first of them.
struct Alike<'a> {
    finding: &'a Finding,
    candidate: &'a Candidate,
    subject: &'a str,
    /// What else it was found in.
    others: Vec<EngagementKind>,
}

impl Alike<'_> {
    fn holds(&self, candidate: &Candidate, finding: &Finding) -> bool {
        let set = |finding: &Finding| -> (Rule, Mode, Level, Verdict) {
            (finding.rule, finding.mode, finding.level, finding.verdict)
        };
        let says_the_same = finding.verdict == Verdict::Passed
            || finding.figures == self.finding.figures
                && candidate.network == self.candidate.network
                && (candidate.kind == self.candidate.kind || !finding.rule.names_sides());
        set(finding) == set(self.finding) && says_the_same
    }

    /// `and 4 other clicks of that network`.
    fn others(&self) -> Option<String> {
        let (passed, count) = (self.finding.verdict == Verdict::Passed, self.others.len());
        let all = |kind| self.others.iter().all(|other| *other == kind);
        let what = match (count, all(EngagementKind::Click), all(EngagementKind::Impression)) {
            (0, ..) => return None,
            (1, true, _) => "click",
            (1, _, true) => "impression",
            (_, true, _) => "clicks",
            (_, _, true) => "impressions",
            _ => "engagements",
        };
        let (word, whose) = if passed { ("nor with", "") } else { ("and", " of that network") };
        Some(format!(", {word} {count} other {what}{whose}"))
    }

    fn sentence(&self, of: &str) -> String {
        let Finding { rule, mode, level, verdict, .. } = self.finding;
        let verdict = match verdict {
            Verdict::Passed => "saw nothing wrong with",
            Verdict::Caught => "caught",
            Verdict::NoDatabase => "has no database to look up",
            Verdict::TooLittle => "knows too little to judge",
        };
        let why = Said { finding: self.finding, kind: self.candidate.kind.name(), of }.why();
        let why = if why.is_empty() { why } else { format!(": {why}") };
        let others = self.others().unwrap_or_default();
        // The figures are those of the first: what passed may have others.
        let (before, after) =
            if self.finding.verdict == Verdict::Passed { (why, others) } else { (others, why) };
        format!(
            "Fraud rule {} ({}, set {}) {verdict} {}{before}{after}.",
            rule.name(),
            mode.name(),
            level.in_words(),
            self.subject
        )
    }
}

impl Rule {
    /// Whether its sentence calls the engagement by its kind, which no figure tells.
    const fn names_sides(self) -> bool {
        matches!(self, Self::PlatformMismatch | Self::GeoMismatch | Self::AnonymousNetwork)
    }
}

/// A finding, with what the two sides are called.
struct Said<'a> {
    finding: &'a Finding,
    /// The engagement: `click`, `impression`.
    kind: &'static str,
    /// What it may have led to: `install`, `event`.
    of: &'a str,
}

impl Said<'_> {
    fn figure(&self, name: &str) -> Option<&str> {
        self.finding.figures.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.figure(name)?.parse().ok()
    }

    /// What it saw, in words; the bare figures where there are none for them. Empty when it says no more than the
    /// verdict.
    fn why(&self) -> String {
        self.in_words().unwrap_or_else(|| {
            let figures = self.finding.figures.iter().map(|(name, value)| match name.as_str() {
                "hour" | "valid_traffic_date_start" | "valid_traffic_date_end" => {
                    format!("{name} {}", moment(value))
                }
                _ => format!("{name} {value}"),
            });
            figures.collect::<Vec<_>>().join(", ")
        })
    }

    fn in_words(&self) -> Option<String> {
        if let Some(address) = self.figure("address") {
            return Some(match address {
                OF_CALLER => format!(
                    "the user's address is unknown, because the {} came from a server without ip_address",
                    self.kind
                ),
                _ => "the user's address is unknown".to_owned(),
            });
        }
        match self.finding.rule {
            Rule::BlocklistDevice | Rule::BlocklistSite | Rule::BlocklistIp => self.listing(),
            Rule::ClickValidation => match self.figure("signature") {
                Some("right") => Some("its signature is right".to_owned()),
                Some("missing") => Some("it is not signed, and its network signs clicks".to_owned()),
                Some(what) => Some(format!("its signature is {what}")),
                None => Some("the network has no key that a signature could be held against".to_owned()),
            },
            Rule::Verification => self.verification(),
            Rule::FrequencyCap | Rule::AdStacking => self.run(),
            Rule::MinimumTimeToInstall => self.minimum_time(),
            Rule::PlatformMismatch | Rule::GeoMismatch => self.sides(),
            Rule::AnonymousNetwork => self.hidden(),
            Rule::ClickFlooding => self.flooding(),
            Rule::TtiDistribution => self.distribution(),
            Rule::HighVolumeIp | Rule::HighVolumeDevice => self.volume(),
        }
    }

    /// ` of the install`, by the side that was looked at; nothing in records that do not tell it.
    fn whose(&self) -> String {
        self.figure("of").map(|side| format!(" of the {side}")).unwrap_or_default()
    }

    fn listing(&self) -> Option<String> {
        self.figure("entry")?;
        let what = match self.finding.rule {
            Rule::BlocklistDevice => format!("the device{}", self.whose()),
            Rule::BlocklistSite => format!("its site, {},", self.figure("site_id")?),
            _ => format!("the address{}, in {},", self.whose(), self.figure("ip")?),
        };
        let reason = self.figure("reason").map(|reason| format!(" ({reason})")).unwrap_or_default();
        Some(format!("{what} is on the blocklist{reason}"))
    }

    fn verification(&self) -> Option<String> {
        let dated = [("valid_traffic_date_start", "begins"), ("valid_traffic_date_end", "ended")];
        if let Some((name, does)) = dated.into_iter().find(|(name, _)| self.figure(name).is_some()) {
            return Some(format!("by {name} its traffic {does} at {}", moment(self.figure(name)?)));
        }
        let flags = [
            ("utm_source_match_required", "the install referrer has to name the click, and does not"),
            ("utm_source_match_forbidden", "the install referrer must not name a click, and does"),
            (
                "referrer_click_time_required",
                "the install referrer has to give the time of the click, and does not",
            ),
        ];
        if let Some((_, words)) = flags.into_iter().find(|(name, _)| self.figure(name).is_some()) {
            return Some(words.to_owned());
        }
        // What privacy requests leave of a finding may be no more than the list.
        let mut told = self.finding.figures.iter().filter(|(name, _)| name != "of" && name != "list");
        let (name, value) = told.next()?;
        let whose = self.whose();
        if let Some(list) = self.figure("list") {
            let is = if list.ends_with("_not_in") { "is" } else { "is not" };
            return Some(format!("{name} {value}{whose} {is} on the list {list}"));
        }
        if let Some((bound, limit)) =
            self.finding.figures.get(1).filter(|(bound, _)| bound.starts_with("os_version_"))
        {
            return Some(format!("{name} {value}{whose} does not pass {bound} {limit}"));
        }
        if self.finding.verdict == Verdict::Caught {
            return Some(match self.figure("of") {
                Some(side) => format!("the {side} does not tell its {name}"),
                None => format!("the {name} is not told"),
            });
        }
        let unknown = self.finding.figures.iter().filter(|(name, _)| name != "of");
        let unknown = unknown.map(|(name, _)| match name.as_str() {
            "receipt_status" => "receipt_status, since nobody validates receipts here",
            name => name,
        });
        Some(format!("unknown of the install: {}", unknown.collect::<Vec<_>>().join(", ")))
    }

    fn run(&self) -> Option<String> {
        if self.figure("table").is_some() {
            return Some("too many devices were seen at once to count another".to_owned());
        }
        let (unit, count) = self.finding.figures.first()?;
        let (per, span) = self.finding.figures.get(2)?;
        let most = self.figure("threshold")?;
        Some(format!(
            "it was number {count} of the {unit} of the device within {span} {per}, and {most} pass"
        ))
    }

    fn minimum_time(&self) -> Option<String> {
        if self.figure("clock_skew").is_some() {
            return Some("the clocks of click and install disagree".to_owned());
        }
        let (seconds, least) = (self.figure("seconds")?, self.figure("threshold")?);
        Some(format!("the install came {seconds} seconds after it, and {least} are the least"))
    }

    /// What each side says of itself: the figure it has, and what it is called.
    const fn both(&self) -> [(&'static str, &str); 2] {
        [("click", self.kind), ("install", self.of)]
    }

    /// What the engagement and the install say of themselves.
    fn sides(&self) -> Option<String> {
        let what = if self.finding.rule == Rule::GeoMismatch { "the address" } else { "the user agent" };
        let sides = self.both().map(|(figure, name)| {
            let value = self.figure(figure).unwrap_or("unknown");
            format!("{name} {value}")
        });
        let sides = sides.join(", ");
        match self.finding.verdict {
            Verdict::NoDatabase => None,
            _ => Some(format!("by {what} {sides}")),
        }
    }

    fn hidden(&self) -> Option<String> {
        let told = |(figure, name)| Some(format!("the address of the {name} is {}", self.figure(figure)?));
        let sides: Vec<String> = self.both().into_iter().filter_map(told).collect();
        (!sides.is_empty()).then(|| sides.join(", "))
    }

    fn flooding(&self) -> Option<String> {
        let (of, clicks, installs) = (self.figure("of")?, self.figure("clicks")?, self.figure("installs")?);
        let (least, from) = (self.figure("threshold")?, self.figure("threshold_clicks")?);
        let hour = self.hour()?;
        Some(match self.finding.verdict {
            Verdict::TooLittle => {
                format!(
                    "fewer than {from} clicks ({clicks}) of the {of} in {hour}, so the ratio says nothing"
                )
            }
            _ => format!(
                "the {of} had {} from {} in {hour}, and {least} from 100,000 are the least",
                counted(installs, "install"),
                counted(clicks, "click")
            ),
        })
    }

    fn distribution(&self) -> Option<String> {
        let (of, installs, late) =
            (self.figure("of")?, self.figure("installs")?, self.figure("late_installs")?);
        let (most, from) = (self.figure("threshold")?, self.figure("threshold_installs")?);
        let hour = self.hour()?;
        Some(match self.finding.verdict {
            Verdict::TooLittle => {
                format!(
                    "fewer than {from} installs ({installs}) of the {of} in {hour}, so the share says nothing"
                )
            }
            _ => format!(
                "of {} of the {of} in {hour} {late} came a day or more after the click, and {most} of 100 pass{}",
                counted(installs, "install"),
                self.in_time().unwrap_or_default()
            ),
        })
    }

    /// Why an install passes whose source has too many late ones.
    fn in_time(&self) -> Option<String> {
        let (late, installs) = (self.number("late_installs")?, self.number("installs")?);
        let is_unusual = late.saturating_mul(100) > installs.saturating_mul(self.number("threshold")?);
        (is_unusual && self.finding.verdict == Verdict::Passed)
            .then(|| format!(", and this {} came less than a day after its {}", self.of, self.kind))
    }

    fn volume(&self) -> Option<String> {
        if self.figure("device").is_some() {
            return Some("it names no device".to_owned());
        }
        let whose =
            if self.finding.rule == Rule::HighVolumeIp { "from its address" } else { "of its device" };
        let (clicks, most) = (self.figure("clicks")?, self.figure("threshold")?);
        let hour = self.hour()?;
        // What has fewer is forgotten when the hour closes.
        let clicks = match self.number("clicks")? {
            few if few < u64::from(CLICKS_KEPT) => "no noteworthy number of clicks".to_owned(),
            _ => counted(clicks, "click"),
        };
        Some(format!("{clicks} {whose} in {hour}, and {most} pass"))
    }

    /// `the last closed hour, from 2027-01-15T07:00:00Z`.
    fn hour(&self) -> Option<String> {
        Some(format!("the last closed hour, from {}", moment(self.figure("hour")?)))
    }
}

fn counted(count: &str, what: &str) -> String {
    if count == "1" { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Epoch seconds as RFC 3339; whatever else there is as it is.
fn moment(seconds: &str) -> String {
    let time = seconds.parse().ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| seconds.to_owned(), |time| time.to_string())
}
