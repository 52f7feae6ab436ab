//! `verification_rules` of a tracker, as the incumbent's clients write it
//! (tracking-and-attribution.md section 14). What nothing here obeys is kept and returned.

use measure::{
    TrackerId,
    catalogue::{Catalogue, Entry},
    fraud::{FraudSettings, Rule, Scope, THRESHOLDS, Threshold, Verification},
};
use serde_json::Value;

use super::{PREFIX, change};
use crate::{error::Error, http::fields::Fields, vault::Vault};

const FIELD: &str = "verification_rules";
/// What lists may be about.
const SUBJECTS: [&str; 11] = [
    "city",
    "dma",
    "postal",
    "state",
    "country",
    "device_type",
    "device_version",
    "os_version",
    "platform",
    "device_language",
    "receipt_status",
];
/// How lists are named after their subject.
const RELATIONS: [&str; 4] = ["_in", "_not_in", "_greater_than", "_less_than"];
/// Entries of one list at most.
const LIST_MAX: usize = 1_000;

/// The change that `verification_rules` of a request makes: they replace all fraud settings of the tracker.
/// The field itself stays, to be kept and shown.
pub fn of_tracker(
    catalogue: &Catalogue,
    tracker: TrackerId,
    fields: &Fields,
    vault: &Vault,
) -> Result<Option<Entry>, Error> {
    let Some(settings) = sent_of_tracker(tracker, fields, vault)? else { return Ok(None) };
    let scope = Scope::Tracker(tracker);
    let current = catalogue.fraud(scope).map(|settings| FraudSettings::clone(settings)).unwrap_or_default();
    Ok((settings != current).then_some(Entry::Fraud(scope, settings)))
}

/// The fraud settings of the tracker that `verification_rules` of a request asks for, whatever stands today.
pub fn sent_of_tracker(
    tracker: TrackerId,
    fields: &Fields,
    vault: &Vault,
) -> Result<Option<FraudSettings>, Error> {
    match fields.peek(FIELD) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(FraudSettings::default())),
        Some(Value::Object(rules)) => {
            read(Scope::Tracker(tracker), Fields::new(rules.clone()), vault).map(Some)
        }
        Some(_) => Err(wrong("", "must be an object")),
    }
}

fn wrong(name: &str, text: &str) -> Error {
    let dot = if name.is_empty() { "" } else { "." };
    Error::BadRequest(format!("{FIELD}{dot}{name}: {text}"))
}

fn read(scope: Scope, mut fields: Fields, vault: &Vault) -> Result<FraudSettings, Error> {
    let mut settings = FraudSettings::default();
    let mut verification =
        Verification { enabled: fields.flag("enabled")?.unwrap_or(false), ..Verification::default() };
    if let Some(mut action) = fields.object("fail_action")? {
        let fail = &mut verification.fail_action;
        fail.append_param = action.flag("append_param")?.unwrap_or(fail.append_param);
        fail.deliver_postback = action.flag("deliver_postback")?.unwrap_or(fail.deliver_postback);
        fail.reconcile = action.flag("reconcile")?.unwrap_or(fail.reconcile);
    }
    if let Some(mut rule) = fields.object("rule")? {
        switches(&mut verification, &mut rule)?;
        numbers(&mut verification, &mut settings, &mut rule)?;
        lists(&mut verification, &mut rule)?;
    }
    settings.verification = Some(verification);
    fields.retain(|name| name.starts_with(PREFIX));
    change(&mut settings, scope, fields, vault)?;
    Ok(settings)
}

fn switches(verification: &mut Verification, rule: &mut Fields) -> Result<(), Error> {
    for (name, turned_on) in [
        ("blacklist_device", Rule::BlocklistDevice),
        ("blacklist_ip", Rule::BlocklistIp),
        ("blacklist_site", Rule::BlocklistSite),
    ] {
        if rule.flag(name)? == Some(true) {
            verification.rules.push(turned_on);
        }
    }
    verification.utm_source_required = rule.flag("utm_source_match_required")?.unwrap_or(false);
    verification.utm_source_forbidden = rule.flag("utm_source_match_forbidden")?.unwrap_or(false);
    verification.referrer_click_time_required = rule.flag("referrer_click_time_required")?.unwrap_or(false);
    if verification.utm_source_required && verification.utm_source_forbidden {
        return Err(wrong("rule", "utm_source_match cannot be both required and forbidden"));
    }
    let dated = rule.flag("valid_traffic_date_enabled")?.unwrap_or(false);
    let (from, until) = (date(rule, "valid_traffic_date_start")?, date(rule, "valid_traffic_date_end")?);
    if dated {
        (verification.valid_from, verification.valid_until) = (from, until);
    }
    Ok(())
}

/// Epoch seconds; 0 and null are no date.
fn date(rule: &mut Fields, name: &str) -> Result<Option<i64>, Error> {
    let date: Option<i64> =
        rule.id(name).map_err(|_| wrong(&format!("rule.{name}"), "must be epoch seconds"))?;
    Ok(date.filter(|seconds| *seconds != 0))
}

/// Numbers that are thresholds here; 0 and null are unset.
fn numbers(
    verification: &mut Verification,
    settings: &mut FraudSettings,
    rule: &mut Fields,
) -> Result<(), Error> {
    for (name, threshold, turned_on) in [
        ("minimum_time_to_install", Threshold::MinimumSeconds, Some(Rule::MinimumTimeToInstall)),
        ("frequency_cap_click", Threshold::CappedClicks, Some(Rule::FrequencyCap)),
        ("frequency_cap_imp", Threshold::CappedImpressions, Some(Rule::FrequencyCap)),
        ("frequency_cap_minutes", Threshold::CappedMinutes, None),
    ] {
        let Some(row) = THRESHOLDS.iter().find(|row| row.threshold == threshold) else { continue };
        let range = format!("must be from {} to {} {}, or 0", row.least, row.most, row.unit);
        let refused = || wrong(&format!("rule.{name}"), &range);
        let number: Option<u64> = rule.id(name).map_err(|_| refused())?;
        let Some(number) = number.filter(|number| *number != 0) else { continue };
        if !(row.least..=row.most).contains(&number) {
            return Err(refused());
        }
        settings.thresholds.insert(threshold, number);
        verification.rules.extend(turned_on);
    }
    // A cap on one kind leaves the other kind alone.
    if verification.rules.contains(&Rule::FrequencyCap) {
        for (one, other) in [
            (Threshold::CappedClicks, Threshold::CappedImpressions),
            (Threshold::CappedImpressions, Threshold::CappedClicks),
        ] {
            let most = THRESHOLDS.iter().find(|row| row.threshold == other).map(|row| row.most);
            if settings.thresholds.contains_key(&one) && !settings.thresholds.contains_key(&other) {
                settings.thresholds.insert(other, most.unwrap_or(u64::MAX));
            }
        }
    }
    verification.rules.sort_unstable();
    verification.rules.dedup();
    Ok(())
}

fn lists(verification: &mut Verification, rule: &mut Fields) -> Result<(), Error> {
    for subject in SUBJECTS {
        for relation in RELATIONS {
            let name = format!("{subject}{relation}");
            let text = |value: &Value| match value {
                Value::String(text) => Some(text.trim().to_owned()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            };
            let values: Option<Vec<String>> = match rule.take(&name) {
                None => continue,
                Some(Value::Array(list)) if list.len() <= LIST_MAX => list.iter().map(text).collect(),
                Some(Value::Array(_)) => {
                    return Err(wrong(
                        &format!("rule.{name}"),
                        &format!("must have at most {LIST_MAX} entries"),
                    ));
                }
                Some(single) => text(&single).map(|value| vec![value]),
            };
            let values = values.ok_or_else(|| wrong(&format!("rule.{name}"), "must be a list of texts"))?;
            let values: Vec<String> = values.into_iter().filter(|value| !value.is_empty()).collect();
            if !values.is_empty() {
                verification.lists.insert(name, values);
            }
        }
    }
    Ok(())
}
