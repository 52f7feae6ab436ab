//! Fraud rules as people set them and as answers show what they saw
//! (tracking-and-attribution.md section 14).

pub(super) mod blocklist;
mod import;
mod verification;

use measure::{
    catalogue::{Catalogue, Entry},
    fraud::{Finding, FraudSettings, Mode, Rule, Scope, SigningHash, THRESHOLDS},
};
use serde_json::{Map, Value, json};

use super::fields::Fields;
use crate::{error::Error, site::Site, vault::Vault};

pub use verification::{of_tracker, sent_of_tracker};

/// How the settings of fraud rules begin.
const PREFIX: &str = "fraud.";
/// Whether an app uses the blocklist of the account.
const BLOCKLIST: &str = "fraud.blocklist.enabled";
/// The key that signs the clicks of a network.
pub(super) const SIGNING_KEY: &str = "fraud.click_validation.key";
/// The hash of its signatures.
const SIGNING_HASH: &str = "fraud.click_validation.hash";
/// What is shown, and may be sent back, for a key that is set.
const MASK: &str = "***";

/// Takes the settings of fraud rules out of the `settings` of a request; the others stay in their place.
pub fn take(fields: &mut Fields) -> Result<Fields, Error> {
    take_from(fields, "settings")
}

/// The same out of a field of another name.
pub fn take_from(fields: &mut Fields, field: &str) -> Result<Fields, Error> {
    let (mut ours, mut others) = (Fields::default(), Fields::default());
    let Some(settings) = fields.object(field)? else { return Ok(ours) };
    for (name, value) in settings.rest() {
        if name.starts_with(PREFIX) { ours.put(&name, value) } else { others.put(&name, value) }
    }
    fields.put(field, others.into_value());
    Ok(ours)
}

/// The change that sent settings make, if any; and `answer` with the settings as they are then.
pub fn entry(
    site: &Site,
    catalogue: &Catalogue,
    scope: Scope,
    sent: Fields,
    answer: Value,
) -> Result<(Option<Entry>, Value), Error> {
    let current = catalogue.fraud(scope).map(|settings| FraudSettings::clone(settings)).unwrap_or_default();
    let mut settings = current.clone();
    change(&mut settings, scope, sent, &site.vault)?;
    let answer = with(site, &settings, answer);
    Ok(((settings != current).then_some(Entry::Fraud(scope, settings)), answer))
}

/// An answer with the settings of fraud rules among its `settings`.
pub fn shown(site: &Site, catalogue: &Catalogue, scope: Scope, answer: Value) -> Value {
    match catalogue.fraud(scope) {
        Some(settings) => with(site, settings, answer),
        None => answer,
    }
}

/// Beside the settings stands of a rule that is on and that needs a database whether there is one.
fn with(site: &Site, settings: &FraudSettings, mut answer: Value) -> Value {
    if let Some(Value::Object(shown)) = answer.get_mut("settings") {
        shown.extend(names(settings));
        let on = settings.modes.iter().filter(|(_, mode)| **mode != Mode::Off);
        let lacking = on.filter(|(rule, _)| site.edge.lacks_database(**rule));
        shown.extend(
            lacking.map(|(rule, _)| (format!("{PREFIX}{}.state", rule.name()), "no_database".into())),
        );
    }
    answer
}

/// Settings by their dotted names.
pub(super) fn names(settings: &FraudSettings) -> Map<String, Value> {
    let mut names = Map::new();
    for (rule, mode) in &settings.modes {
        names.insert(format!("{PREFIX}{}.mode", rule.name()), mode.name().into());
    }
    for row in THRESHOLDS {
        let value = settings.thresholds.get(&row.threshold);
        names.extend(value.map(|value| (row.name.to_owned(), json!(value))));
    }
    if settings.blocklist {
        names.insert(BLOCKLIST.to_owned(), true.into());
    }
    if settings.signing_key.is_some() {
        names.insert(SIGNING_KEY.to_owned(), MASK.into());
    }
    if settings.signing_hash != SigningHash::default() {
        names.insert(SIGNING_HASH.to_owned(), settings.signing_hash.name().into());
    }
    names
}

/// Changes settings. `null` leaves one to the next level; an unknown one is refused.
pub(super) fn change(
    settings: &mut FraudSettings,
    scope: Scope,
    sent: Fields,
    vault: &Vault,
) -> Result<(), Error> {
    for (name, value) in sent.rest() {
        let wrong = |text: &str| Error::BadRequest(format!("{name}: {text}"));
        let rule = |suffix: &str| {
            let rule = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(suffix));
            rule.and_then(Rule::named)
        };
        if let Some(rule) = rule(".mode") {
            let mode = value.as_str().and_then(Mode::named);
            match (mode, &value) {
                (Some(mode), _) => settings.modes.insert(rule, mode),
                (None, Value::Null) => settings.modes.remove(&rule),
                (None, _) => return Err(wrong("must be off, flag or reject")),
            };
        } else if let Some(row) = THRESHOLDS.iter().find(|row| row.name == name) {
            let number = value.as_u64().filter(|number| (row.least..=row.most).contains(number));
            match (number, &value) {
                (Some(number), _) => settings.thresholds.insert(row.threshold, number),
                (None, Value::Null) => settings.thresholds.remove(&row.threshold),
                (None, _) => {
                    let range = format!("must be from {} to {} {}", row.least, row.most, row.unit);
                    return Err(wrong(&range));
                }
            };
        } else if name == BLOCKLIST && matches!(scope, Scope::App(_)) {
            settings.blocklist = match value {
                Value::Null => false,
                Value::Bool(on) => on,
                _ => return Err(wrong("must be true or false")),
            };
        } else if name == SIGNING_KEY && matches!(scope, Scope::Network(_)) {
            match value.as_str().map(str::trim) {
                Some(MASK) => {}
                Some(key) if (16..=256).contains(&key.len()) => {
                    let sealed = vault.seal(key).map_err(|_| Error::Internal("a secret cannot be sealed"))?;
                    settings.signing_key = Some(sealed);
                }
                None if value.is_null() => settings.signing_key = None,
                _ => return Err(wrong("must be a text of 16 to 256 characters, or null")),
            }
        } else if name == SIGNING_HASH && matches!(scope, Scope::Network(_)) {
            settings.signing_hash = match value.as_str() {
                None if value.is_null() => SigningHash::default(),
                name => name.and_then(SigningHash::named).ok_or_else(|| wrong("must be sha256 or sha1"))?,
            };
        } else if rule(".state").is_none() {
            return Err(Error::BadRequest(format!("settings: there is no setting {name} here")));
        }
    }
    Ok(())
}

/// What a rule saw, as answers show it: numbers as numbers.
#[must_use]
pub fn finding(finding: &Finding) -> Value {
    let value = |text: &String| text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number));
    let figures: Map<String, Value> =
        finding.figures.iter().map(|(name, text)| (name.clone(), value(text))).collect();
    json!({
        "rule": finding.rule.name(), "mode": finding.mode.name(), "set_by": finding.level.name(),
        "verdict": finding.verdict.name(), "figures": figures,
    })
}
