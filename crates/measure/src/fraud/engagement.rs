//! Rules that look at an engagement alone, when it comes in.

use super::{
    Blocklist, Finding, Listing, Mode, Rule, Rules, Threshold, Verdict, figure, figures::run_key,
    verification::Checked,
};
use crate::{
    Timestamp,
    claim::Claim,
    engagement::{Engagement, EngagementKind, LinkIdentifier},
    flag::{Flag, Flags},
};

/// How often a device was seen, this time included; `None` where nobody counts, where there was no room
/// to count, or where nothing tells the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Engagements of its kind on its network and site within the minutes of the cap.
    pub capped: Option<u32>,
    /// Clicks within the seconds of ad stacking.
    pub stacked: Option<u32>,
}

/// What the rules in force see in an engagement, what they let pass as well.
///
/// `flags` are those of its input: the edge, which holds the key, says there what its signature is worth.
#[must_use]
pub fn judge_engagement(
    engagement: &Engagement,
    flags: &Flags,
    received: Timestamp,
    rules: &Rules<'_>,
    blocklist: &Blocklist,
    seen: Seen,
) -> Vec<Finding> {
    let is_click = engagement.kind == EngagementKind::Click;
    let mut findings = Vec::new();
    let mut look = |rule, check: &dyn Fn() -> Checked| {
        let (mode, level) = rules.mode(rule);
        if mode == Mode::Off {
            return;
        }
        let (verdict, figures) = check();
        findings.push(Finding { rule, mode, level, verdict, figures });
    };
    let side = engagement.kind.name();
    look(Rule::BlocklistDevice, &|| of(side, listed(blocked_device(&engagement.identifiers, blocklist))));
    look(Rule::BlocklistSite, &|| {
        let site = engagement.site_id.as_deref();
        listed(site.and_then(|site| blocklist.site(engagement.network, site)))
    });
    look(Rule::BlocklistIp, &|| of(side, listed(engagement.ip.and_then(|ip| blocklist.ip(ip)))));
    if is_click {
        look(Rule::ClickValidation, &|| signature(flags));
    }
    if let Some(verifier) = rules.verifier() {
        look(Rule::Verification, &|| of(side, verifier.check_engagement(engagement, received)));
    }
    look(Rule::FrequencyCap, &|| {
        let cap = if is_click { Threshold::CappedClicks } else { Threshold::CappedImpressions };
        let unit = if is_click { "clicks" } else { "impressions" };
        let minutes = ("minutes", rules.threshold(Threshold::CappedMinutes));
        uncounted(seen.capped, engagement)
            .unwrap_or_else(|count| above(count, unit, rules.threshold(cap), minutes))
    });
    if is_click {
        look(Rule::AdStacking, &|| {
            let seconds = ("seconds", rules.threshold(Threshold::StackedSeconds));
            uncounted(seen.stacked, engagement).unwrap_or_else(|count| {
                above(count, "clicks", rules.threshold(Threshold::StackedClicks), seconds)
            })
        });
    }
    findings
}

/// The same for what a network claims: it tells of a device and of a site, and of nothing else that a rule could
/// look at.
#[must_use]
pub fn judge_claim(
    claim: &Claim,
    received: Timestamp,
    rules: &Rules<'_>,
    blocklist: &Blocklist,
) -> Vec<Finding> {
    let (side, site) = (claim.kind.name(), claim.site_id.as_deref());
    let mut checks = vec![
        (Rule::BlocklistDevice, of(side, listed(blocked_device(&claim.identifiers, blocklist)))),
        (Rule::BlocklistSite, listed(site.and_then(|site| blocklist.site(claim.network, site)))),
    ];
    let verifier = rules.verifier();
    checks.extend(verifier.map(|verifier| (Rule::Verification, of(side, verifier.check_date(received)))));
    let findings = checks.into_iter().filter_map(|(rule, (verdict, figures))| {
        let (mode, level) = rules.mode(rule);
        (mode != Mode::Off).then_some(Finding { rule, mode, level, verdict, figures })
    });
    findings.collect()
}

/// What a rule that looks at the engagement and at the install saw in one of them, with the name of that side.
/// What passed has nothing to tell of it.
pub(super) fn of(side: &str, (verdict, mut figures): Checked) -> Checked {
    if verdict != Verdict::Passed {
        figures.push(figure("of", side));
    }
    (verdict, figures)
}

/// What an entry of the blocklist comes to.
pub(super) fn listed(listing: Option<&Listing>) -> Checked {
    let Some(listing) = listing else { return (Verdict::Passed, Vec::new()) };
    let mut figures = vec![figure("entry", listing.what.kind())];
    match &listing.what {
        super::Blocked::Site(_, site) => figures.push(figure("site_id", site)),
        super::Blocked::Ip(cidr) => figures.push(figure("ip", cidr)),
        // Identifiers stay out of findings, which outlive what privacy requests remove.
        super::Blocked::Device(_) | super::Blocked::Digest(_) => {}
    }
    if !listing.reason.is_empty() {
        figures.push(figure("reason", &listing.reason));
    }
    (Verdict::Caught, figures)
}

fn blocked_device<'b>(identifiers: &[LinkIdentifier], blocklist: &'b Blocklist) -> Option<&'b Listing> {
    identifiers.iter().find_map(|identifier| match identifier {
        LinkIdentifier::Plain(plain) => blocklist.identifier(plain),
        LinkIdentifier::Hashed(_, digest) => blocklist.digest(digest),
    })
}

fn signature(flags: &Flags) -> Checked {
    let wrong = [
        (Flag::SignatureMissing, "missing"),
        (Flag::SignatureBad, "wrong"),
        (Flag::SignatureExpired, "expired"),
    ];
    match wrong.into_iter().find(|(flag, _)| flags.contains(flag)) {
        Some((_, what)) => (Verdict::Caught, vec![figure("signature", what)]),
        None if flags.contains(&Flag::SignatureOk) => (Verdict::Passed, vec![figure("signature", "right")]),
        None => (Verdict::TooLittle, vec![figure("key", "the network has none")]),
    }
}

/// Why nobody knows how often a device was seen; else how often.
fn uncounted(count: Option<u32>, engagement: &Engagement) -> Result<Checked, u32> {
    match count {
        Some(count) => Err(count),
        None if run_key(engagement).is_none() => Ok(without_address(engagement.ip_of_caller)),
        None => Ok((Verdict::TooLittle, vec![figure("table", "full")])),
    }
}

/// The figure of an address that is only that of a partner's server.
pub(super) const OF_CALLER: &str = "of a server that called without ip_address";

/// What a rule about addresses says where the user's is not known.
pub(super) fn without_address(ip_of_caller: bool) -> Checked {
    let why = if ip_of_caller { OF_CALLER } else { "unknown" };
    (Verdict::TooLittle, vec![figure("address", why)])
}

fn above(count: u32, unit: &str, most: u64, (per, span): (&str, u64)) -> Checked {
    let verdict = if u64::from(count) > most { Verdict::Caught } else { Verdict::Passed };
    (verdict, vec![figure(unit, count), figure("threshold", most), figure(per, span)])
}
