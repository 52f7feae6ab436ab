//! Clicks that an install names: install referrer and landing page
//! (ingest.md section 2, tracking-and-attribution.md section 10).

use measure::{
    identifier::is_absent,
    install::{ClickReference, ClickReferenceKind},
};
use percent_encoding::percent_decode_str;

use super::envelope::Envelope;
use crate::{
    json::{Json, get},
    moment,
};

/// The click that the install names. When both places name one, the one in our own form counts.
pub fn read(envelope: &Envelope<'_>) -> Option<ClickReference> {
    let named = [install_referrer(envelope), landing_page(envelope)];
    let ours = named.iter().flatten().find(|reference| reference.touch.is_some()).cloned();
    ours.or_else(|| named.into_iter().flatten().next())
}

/// `install_referrer`: an object, or the referrer alone.
fn install_referrer(envelope: &Envelope<'_>) -> Option<ClickReference> {
    let raw = envelope
        .inner("install_referrer", "referrer")
        .or_else(|| envelope.field("install_referrer"))
        .and_then(Json::scalar)?;
    let click_time = envelope.inner("install_referrer", "referrer_click_time").and_then(Json::scalar);
    let mut reference = reference(ClickReferenceKind::InstallReferrer, utm_source(raw)?, raw);
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

/// `utm_source` of a referrer, which some stores deliver encoded once more.
pub fn utm_source(referrer: &str) -> Option<String> {
    let once = referrer.trim();
    let plain = if once.contains('=') { once.into() } else { percent_decode_str(once).decode_utf8_lossy() };
    form_urlencoded::parse(plain.as_bytes())
        .filter(|(key, _)| key == "utm_source")
        .last()
        .map(|(_, value)| value.trim().to_owned())
        .filter(|value| is_named(value))
}

/// Whether a source is named at all; the stores write `(not set)` when there is none.
fn is_named(source: &str) -> bool {
    !is_absent(source) && !["(not set)", "(not%20set)", "(direct)"].contains(&source)
}
