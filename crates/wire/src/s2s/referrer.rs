//! Clicks that an install names: install referrer and landing page
//! (ingest.md section 2, tracking-and-attribution.md section 10).

use std::borrow::Cow;

use measure::{
    Timestamp,
    identifier::is_absent,
    install::{ClickReference, ClickReferenceKind},
    referrer::{Referrer, ReferrerKeys},
};
use percent_encoding::percent_decode_str;

use super::envelope::Envelope;
use crate::{
    json::{Json, get},
    moment,
    redaction::ENCODINGS_MAX,
};

/// Click ids that only one network puts into referrers.
const CLICK_IDS: [(&str, &str); 11] = [
    ("gclid", "Google Ads"),
    ("gbraid", "Google Ads"),
    ("wbraid", "Google Ads"),
    ("dclid", "Google Ads"),
    ("fbclid", "Meta"),
    ("ttclid", "TikTok"),
    ("msclkid", "Microsoft Ads"),
    ("twclid", "X"),
    ("ScCid", "Snapchat"),
    ("rdt_cid", "Reddit"),
    ("epik", "Pinterest"),
];
/// What Meta's apps write as `utm_source`.
const META_SOURCES: [&str; 3] = ["apps.facebook.com", "apps.instagram.com", "facebook"];
/// Media that somebody pays for.
const PAID_MEDIA: [&str; 9] = ["cpc", "ppc", "cpm", "cpa", "cpi", "cpv", "paid", "paidsocial", "paid_social"];
/// Characters of a value that are kept.
const VALUE_CHARS_MAX: usize = 256;

/// The click that the install names. When both places name one, the one in our own form counts.
pub fn read(envelope: &Envelope<'_>, keys: &ReferrerKeys) -> Option<ClickReference> {
    let named = [install_referrer(envelope, keys), landing_page(envelope)];
    let ours = named.iter().flatten().find(|reference| reference.touch.is_some()).cloned();
    ours.or_else(|| named.into_iter().flatten().next())
}

/// What the store's referrer says, whoever it names; `None` without one.
pub fn source(envelope: &Envelope<'_>, keys: &ReferrerKeys) -> Option<Referrer> {
    let pairs = pairs(raw(envelope)?);
    let text = |key: &str| value(&pairs, key).map(short);
    let (name, paid, encrypted) = named(&pairs, keys);
    Some(Referrer {
        name,
        paid,
        medium: text("utm_medium"),
        campaign: text(&keys.campaign_id),
        encrypted,
        begin: begin(envelope),
    })
}

/// `install_referrer`: an object, or the referrer alone.
fn raw<'a>(envelope: &Envelope<'a>) -> Option<&'a str> {
    let inner = envelope.inner("install_referrer", "referrer");
    inner.or_else(|| envelope.field("install_referrer")).and_then(Json::scalar)
}

/// When the store says that the download began; senders use its own name or a shorter one.
fn begin(envelope: &Envelope<'_>) -> Option<Timestamp> {
    let written = ["install_begin_time", "install_begin_timestamp_seconds", "begin_time"]
        .iter()
        .find_map(|key| envelope.inner("install_referrer", key).and_then(Json::scalar));
    moment::usable(written)
}

fn install_referrer(envelope: &Envelope<'_>, keys: &ReferrerKeys) -> Option<ClickReference> {
    let raw = raw(envelope)?;
    let click_time = envelope.inner("install_referrer", "referrer_click_time").and_then(Json::scalar);
    let written = value(&pairs(raw), &keys.click_id)?.to_owned();
    let mut reference = reference(ClickReferenceKind::InstallReferrer, written, raw);
    reference.click_time = moment::usable(click_time);
    Some(reference)
}

fn landing_page(envelope: &Envelope<'_>) -> Option<ClickReference> {
    let data = envelope.field("conversion_data")?.object()?;
    let written = get(data, "utm_source")?.scalar()?.trim();
    is_named(written).then(|| reference(ClickReferenceKind::LandingPage, written.to_owned(), written))
}

fn reference(kind: ClickReferenceKind, written: String, raw: &str) -> ClickReference {
    let touch = written.parse().ok();
    ClickReference { kind, written, touch, raw: raw.to_owned(), click_time: None }
}

/// The parameters of a referrer, which some stores and senders encode once more each.
fn pairs(referrer: &str) -> Vec<(String, String)> {
    let mut plain = Cow::Borrowed(referrer.trim());
    // The last time is that of the values.
    for _ in 1..ENCODINGS_MAX {
        if plain.contains('=') {
            break;
        }
        plain = percent_decode_str(&plain).decode_utf8_lossy().into_owned().into();
    }
    let pairs = form_urlencoded::parse(plain.as_bytes());
    pairs.map(|(key, value)| (key.into_owned(), value.trim().to_owned())).collect()
}

/// The last value under a key, if it says anything.
fn value<'p>(pairs: &'p [(String, String)], key: &str) -> Option<&'p str> {
    let (_, value) = pairs.iter().rev().find(|(name, _)| name == key)?;
    is_named(value).then_some(value)
}

/// Whom a referrer names, whether it says that somebody paid, and whether the names are encrypted.
fn named(pairs: &[(String, String)], keys: &ReferrerKeys) -> (Option<String>, bool, bool) {
    if let Some((_, network)) = CLICK_IDS.iter().find(|(key, _)| value(pairs, key).is_some()) {
        return (Some((*network).to_owned()), true, false);
    }
    let source = value(pairs, &keys.click_id).or_else(|| value(pairs, "utm_source"));
    let medium = value(pairs, "utm_medium").map(str::to_ascii_lowercase);
    let encrypted = pairs.iter().any(|(key, value)| key == "utm_content" && is_encrypted(value));
    let is_meta = |source: &str| META_SOURCES.iter().any(|known| source.eq_ignore_ascii_case(known));
    if encrypted || source.is_some_and(is_meta) {
        return (Some("Meta".to_owned()), true, encrypted);
    }
    let paid = medium.as_deref().is_some_and(|medium| PAID_MEDIA.contains(&medium));
    let is_organic = medium.as_deref() == Some("organic") || source == Some("google-play") && !paid;
    let name = source.filter(|_| !is_organic).map(|source| match source {
        "google" if paid => "Google Ads".to_owned(),
        other => short(other),
    });
    (name, paid && !is_organic, false)
}

/// Whether a content is what Meta's apps write: an object with the encrypted names and their nonce.
fn is_encrypted(content: &str) -> bool {
    content.starts_with('{') && content.contains("\"nonce\"")
}

/// A value as it is kept beside the referrer: its beginning.
fn short(value: &str) -> String {
    value.chars().take(VALUE_CHARS_MAX).collect()
}

/// Whether a source is named at all; the stores write `(not set)` when there is none.
fn is_named(source: &str) -> bool {
    !is_absent(source) && !["(not set)", "(not%20set)", "(direct)"].contains(&source)
}
