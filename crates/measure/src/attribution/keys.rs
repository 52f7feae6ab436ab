//! Under which keys an install and the engagements that may have led to it meet.

use std::collections::BTreeSet;

use crate::{
    Timestamp,
    engagement::{IpKey, MatchKey},
    flag::Flag,
    identifier::{DigestLength, forms},
    install::{Install, InstallRecord},
    policy::{Addresses, Policy},
};

/// The keys under which an install's candidate touches are found, in a fixed order, each once: its
/// identifiers, their digests in every form whose length the app's links have carried (DECISIONS 18), the
/// click that it names, its address with its operating system, and what the address classes in use compare.
#[must_use]
pub fn match_keys(
    install: &Install,
    digest_lengths: &BTreeSet<DigestLength>,
    used: Addresses,
) -> Vec<MatchKey> {
    let mut keys = Vec::new();
    for identifier in &install.origin.identifiers {
        keys.push(MatchKey::Identifier(identifier.into()));
        for &length in digest_lengths {
            keys.extend(
                forms(&identifier.value, length).into_iter().map(|(_, digest)| MatchKey::Digest(digest)),
            );
        }
    }
    if let Some(touch) = install.click.as_ref().and_then(|click| click.touch) {
        keys.push(MatchKey::Click(touch));
    }
    if let (Some(ip), Some(os)) = (install.origin.ip, &install.origin.traits.os) {
        keys.push(MatchKey::Modeled(ip.into(), os.clone()));
    }
    keys.extend(install.origin.ip.into_iter().flat_map(|ip| IpKey::from(ip).keys(used)));
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The keys under which an install is remembered for engagements that come late: an engagement asks for
/// its own [`match_keys`](crate::engagement::Engagement::match_keys), so they are the very keys by which
/// the install would have found it.
///
/// `digest_lengths` has to include what the current batch brings. The one engagement that cannot find its
/// install is the first of its digest length in an app, when it is late itself: writing every form of
/// every identifier of every install is too high a price for it.
#[must_use]
pub fn arrival_keys(
    install: &Install,
    digest_lengths: &BTreeSet<DigestLength>,
    used: Addresses,
) -> Vec<MatchKey> {
    match_keys(install, digest_lengths, used)
}

/// The latest engagement time that can count for an install of the time `installed`: that and the allowed
/// clock skew (DECISIONS 2).
#[must_use]
pub fn horizon(installed: Timestamp, policy: &Policy) -> Timestamp {
    installed.plus(policy.clock_skew_ms.max(0))
}

/// The latest engagement time that counts for an install: its [`horizon`], or its very time where that is the
/// beginning of the download. A click that an app on the device sends once it sees the download lies right
/// behind that, where clocks may else disagree (section 14).
pub(super) fn latest(record: &InstallRecord, policy: &Policy) -> Timestamp {
    let installed = record.install.time;
    if record.flags.contains(&Flag::ReferrerBeginTime) { installed } else { horizon(installed, policy) }
}
