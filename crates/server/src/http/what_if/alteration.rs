//! What is to be otherwise, in the words that PATCH takes.

use std::sync::Arc;

use engine::{Alteration, Plan};
use measure::{
    AppId, NetworkId, Timestamp, TrackerId,
    catalogue::{App, AppNetwork, Catalogue, Entry, Network, Tracker},
    fraud::{FraudSettings, Scope},
    policy::Windows,
};
use serde_json::Value;

use super::super::{fields::Fields, fraud, settings, trackers::overrides};
use crate::{error::Error, vault::Vault};

/// Settings that no decision depends on, or only when an input comes in.
const WITHOUT_EFFECT: [&str; 15] = [
    "attribution.event_association",
    "attribution.install_reprocessing",
    "attribution.minimum_time_to_reengagement",
    "attribution.referrer_click_id_key",
    "attribution.referrer_campaign_id_key",
    "attribution.referrer_begin_time",
    "tracking.accept_click_time",
    "ingest.hold",
    "postbacks.hold_install",
    "postbacks.forward_installs",
    "limits.app_requests_per_second",
    "fraud.click_validation.key",
    "fraud.click_validation.hash",
    "consent.att_from_idfa",
    "schemes",
];
/// Networks and trackers that one what-if changes at most.
const THINGS_MAX: usize = 1_000;

/// One thing that is to be otherwise: changes an entry when it is about that thing.
type Change = Box<dyn Fn(&mut Entry) -> Result<(), Error> + Send + Sync>;

/// What a request asks for; 400 says what is wrong with it.
pub fn plan(
    catalogue: &Catalogue,
    app: AppId,
    mut fields: Fields,
    vault: &Arc<Vault>,
    readers: usize,
) -> Result<Plan, Error> {
    let (from, until) = (time(&mut fields, "from")?, time(&mut fields, "to")?);
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        return Err(Error::BadRequest("to: must lie after from".to_owned()));
    }
    let mut changes: Vec<Change> = Vec::new();
    let mut begin = Vec::new();
    let rules = |begin: &mut Vec<Entry>, scope: Scope, sent: Fields| -> Result<Option<Change>, Error> {
        all_matter(&sent)?;
        if sent.clone().rest().next().is_none() {
            return Ok(None);
        }
        // Tried once, so that whatever is wrong is told now.
        fraud::change(&mut FraudSettings::default(), scope, sent.clone(), vault)?;
        begin.push(Entry::Fraud(scope, FraudSettings::default()));
        let vault = vault.clone();
        Ok(Some(Box::new(move |entry| match entry {
            Entry::Fraud(of, settings) if *of == scope => {
                fraud::change(settings, scope, sent.clone(), &vault)
            }
            _ => Ok(()),
        })))
    };
    changes.extend(rules(&mut begin, Scope::App(app), fraud::take(&mut fields)?)?);
    if let Some(sent) = effective(&mut fields, "settings")? {
        let owner = catalogue.app(app).ok_or(Error::NotFound("app"))?;
        settings::change_app(&mut App::clone(owner), sent.clone())?;
        changes.push(Box::new(move |entry| match entry {
            Entry::App(owner) if owner.id == app => settings::change_app(owner, sent.clone()),
            _ => Ok(()),
        }));
    }
    for (id, mut sent) in things(&mut fields, "networks")? {
        let id: NetworkId = id.parse().map_err(|_| unknown("networks", &id))?;
        let network = catalogue.network(id).ok_or_else(|| unknown("networks", &id.to_string()))?;
        changes.extend(rules(&mut begin, Scope::Network(id), fraud::take(&mut sent)?)?);
        if let Some(settings) = effective(&mut sent, "settings")? {
            settings::change_network(&mut Network::clone(network).windows, settings.clone())?;
            changes.push(Box::new(move |entry| match entry {
                Entry::Network(network) if network.id == id => {
                    settings::change_network(&mut network.windows, settings.clone())
                }
                _ => Ok(()),
            }));
        }
        let in_app = fraud::take_from(&mut sent, "settings_in_app")?;
        changes.extend(rules(&mut begin, Scope::NetworkInApp(app, id), in_app)?);
        if let Some(settings) = effective(&mut sent, "settings_in_app")? {
            settings::change_network(&mut Windows::default(), settings.clone())?;
            begin.push(Entry::AppNetwork(AppNetwork { app, network: id, windows: Windows::default() }));
            changes.push(Box::new(move |entry| match entry {
                Entry::AppNetwork(own) if (own.app, own.network) == (app, id) => {
                    settings::change_network(&mut own.windows, settings.clone())
                }
                _ => Ok(()),
            }));
        }
        nothing_else(sent, &format!("networks.{id}"), "settings, settings_in_app")?;
    }
    for (id, mut sent) in things(&mut fields, "trackers")? {
        let id: TrackerId = id.parse().map_err(|_| unknown("trackers", &id))?;
        let tracker = catalogue.tracker(id).filter(|tracker: &&Arc<Tracker>| tracker.app == app);
        let tracker = tracker.ok_or_else(|| unknown("trackers", &id.to_string()))?;
        let scope = Scope::Tracker(id);
        begin.push(Entry::Fraud(scope, FraudSettings::default()));
        // What stands today already may not have stood when an install was decided.
        if let Some(settings) = fraud::sent_of_tracker(id, &sent, vault)? {
            changes.push(Box::new(move |entry| {
                if let Entry::Fraud(of, there) = entry
                    && *of == scope
                {
                    there.clone_from(&settings);
                }
                Ok(())
            }));
        }
        sent.take("verification_rules");
        if let Some(given) = sent.object("tracker_overrides")? {
            let given = given.into_value();
            overrides::no_unknown(&given)?;
            overrides::set(&mut Tracker::clone(tracker), &given)?;
            changes.push(Box::new(move |entry| match entry {
                Entry::Tracker(tracker) if tracker.id == id => overrides::set(tracker, &given),
                _ => Ok(()),
            }));
        }
        nothing_else(sent, &format!("trackers.{id}"), "tracker_overrides, verification_rules")?;
    }
    nothing_else(fields, "", "settings, networks, trackers, from, to")?;
    begin.retain(|entry| is_changed(entry, &changes));
    let alter = move |entry: &mut Entry| {
        for change in &changes {
            // What could be wrong with a change was told when it was tried.
            let _tried = change(entry);
        }
    };
    Ok(Plan { app, from, until, alteration: Alteration { alter: Box::new(alter), begin }, readers })
}

/// Whether some change is about an entry.
fn is_changed(entry: &Entry, changes: &[Change]) -> bool {
    let mut altered = entry.clone();
    changes.iter().for_each(|change| {
        let _tried = change(&mut altered);
    });
    altered != *entry
}

/// The settings in a field of a request, if there are any; 400 when one of them decides nothing.
fn effective(fields: &mut Fields, field: &str) -> Result<Option<Fields>, Error> {
    let Some(settings) = fields.object(field)? else { return Ok(None) };
    all_matter(&settings)?;
    Ok(settings.clone().rest().next().is_some().then_some(settings))
}

/// Refuses settings that no decision on an install depends on.
fn all_matter(settings: &Fields) -> Result<(), Error> {
    let names = settings.clone().rest().map(|(name, _)| name);
    let idle = |name: &String| WITHOUT_EFFECT.iter().any(|idle| name.starts_with(idle));
    match names.into_iter().find(idle) {
        None => Ok(()),
        Some(name) => Err(Error::BadRequest(format!(
            "settings: {name} changes nothing about installs that are on record; leave it out"
        ))),
    }
}

/// The things of a kind, by their numbers.
fn things(fields: &mut Fields, kind: &str) -> Result<Vec<(String, Fields)>, Error> {
    let Some(things) = fields.object(kind)? else { return Ok(Vec::new()) };
    let things: Result<Vec<_>, Error> = things
        .rest()
        .map(|(id, sent)| match sent {
            Value::Object(sent) => Ok((id, Fields::new(sent))),
            _ => Err(Error::BadRequest(format!("{kind}.{id}: must be an object"))),
        })
        .collect();
    let things = things?;
    if things.len() > THINGS_MAX {
        return Err(Error::BadRequest(format!("{kind}: at most {THINGS_MAX}")));
    }
    Ok(things)
}

fn unknown(kind: &str, id: &str) -> Error {
    Error::BadRequest(format!("{kind}.{id}: there is none of this number"))
}

fn nothing_else(fields: Fields, at: &str, known: &str) -> Result<(), Error> {
    let Some((key, _)) = fields.rest().next() else { return Ok(()) };
    let dot = if at.is_empty() { "" } else { "." };
    Err(Error::BadRequest(format!("{at}{dot}{key}: there is no such field; there are {known}")))
}

/// A point in time: RFC 3339, or seconds since the epoch.
fn time(fields: &mut Fields, key: &str) -> Result<Option<Timestamp>, Error> {
    let wrong = || {
        Error::BadRequest(format!(
            "{key}: must be a time such as 2026-01-31T00:00:00Z, or seconds since 1970"
        ))
    };
    match fields.take(key) {
        None => Ok(None),
        Some(Value::Number(seconds)) => {
            seconds.as_i64().map(|seconds| Some(Timestamp::from_seconds(seconds))).ok_or_else(wrong)
        }
        Some(Value::String(text)) => {
            let time: jiff::Timestamp = text.trim().parse().map_err(|_| wrong())?;
            Ok(Some(Timestamp(time.as_millisecond())))
        }
        Some(_) => Err(wrong()),
    }
}
