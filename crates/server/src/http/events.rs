//! The event manager: the names that an app has sent, and what people decided about them (postbacks.md
//! section 5, DECISIONS 35).

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use measure::{
    AppId,
    catalogue::{Catalogue, Entry, EventSwitches},
};
use serde_json::{Value, json};
use store::EventName;

use super::{
    apps,
    asked::Path,
    fields::Fields,
    openapi::{Refusals, bodies::EventChange},
    record::iso,
};
use crate::{auth::Caller, clock, error::Error, site::Site};

/// Names of one app that people decided something about, at most.
const SWITCHED_MAX: usize = 10_000;
/// Names changed by one call, at most.
const CHANGES_MAX: usize = 1_000;

/// `GET /api/apps/{app}/events`: every name that was sent or decided about, in order.
#[utoipa::path(
    get, path = "/api/apps/{app}/events", tag = "management",
    params(("app" = u64, Path, description = "the number of the app")),
    responses((status = 200, description = "the event names with their switches", body = Value), Refusals),
    operation_id = "events_list",
)]
pub async fn list(
    State(site): State<Site>,
    caller: Caller,
    Path(app): Path<String>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let app = apps::find(&catalogue, &app)?.id;
    caller.may_read(app)?;
    let seen = site.ask(move |store| store.event_names(app)).await?;
    let mut rows: BTreeMap<String, Option<EventName>> =
        seen.into_iter().map(|(name, record)| (name, Some(record))).collect();
    for (name, _) in catalogue.switched_events(app) {
        rows.entry(name.to_owned()).or_default();
    }
    let data: Vec<Value> = rows
        .iter()
        .map(|(name, seen)| row(name, seen.as_ref(), catalogue.event_switches(app, name)))
        .collect();
    Ok(Json(json!({ "data": data })))
}

/// `PATCH /api/apps/{app}/events`: one name, or a list of them under `events`. `null` leaves a switch to what
/// comes in.
#[utoipa::path(
    patch, path = "/api/apps/{app}/events", tag = "management",
    params(("app" = u64, Path, description = "the number of the app")),
    request_body = EventChange,
    responses((status = 200, description = "the names that were changed, with their switches", body = Value), Refusals),
    operation_id = "events_update",
)]
pub async fn update(
    State(site): State<Site>,
    caller: Caller,
    Path(app): Path<String>,
    mut fields: Fields,
) -> Result<Json<Value>, Error> {
    let changes = match fields.take("events") {
        None => vec![fields],
        Some(Value::Array(events)) if events.len() <= CHANGES_MAX => events
            .into_iter()
            .map(|event| match event {
                Value::Object(event) => Ok(Fields::new(event)),
                _ => Err(Error::BadRequest("events: must be a list of objects".to_owned())),
            })
            .collect::<Result<_, _>>()?,
        Some(_) => {
            return Err(Error::BadRequest(format!(
                "events: must be a list of at most {CHANGES_MAX} objects"
            )));
        }
    };
    let (app, changed) = site
        .catalogue
        .change(clock::now(), Some(caller.key()), |catalogue| {
            let app = apps::find(catalogue, &app)?.id;
            caller.may_write(app)?;
            let changed = changed(catalogue, app, changes)?;
            let entries = changed.iter().map(|(name, switches)| Entry::Event(app, name.clone(), *switches));
            Ok::<_, Error>((entries.collect(), (app, changed)))
        })
        .await?;
    let seen: BTreeMap<String, EventName> =
        site.ask(move |store| store.event_names(app)).await?.into_iter().collect();
    let data: Vec<Value> =
        changed.iter().map(|(name, switches)| row(name, seen.get(name), *switches)).collect();
    Ok(Json(json!({ "data": data })))
}

/// The switches that changes lead to, by name.
fn changed(
    catalogue: &Catalogue,
    app: AppId,
    changes: Vec<Fields>,
) -> Result<BTreeMap<String, EventSwitches>, Error> {
    let mut changed = BTreeMap::new();
    for mut fields in changes {
        let name = fields.exact_text("name")?.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Error::BadRequest("name: is required".to_owned()))?;
        let mut switches =
            changed.get(&name).copied().unwrap_or_else(|| catalogue.event_switches(app, &name));
        switch(&mut fields, "active", &mut switches.active)?;
        switch(&mut fields, "is_revenue", &mut switches.is_revenue)?;
        fields.without(&["first_seen"]);
        if let Some((unknown, _)) = fields.rest().next() {
            return Err(Error::BadRequest(format!("{unknown}: is not known; name active and is_revenue")));
        }
        changed.insert(name, switches);
    }
    if catalogue.switched_events(app).count() + changed.len() > SWITCHED_MAX {
        return Err(Error::BadRequest(format!("an app can decide about {SWITCHED_MAX} event names at most")));
    }
    Ok(changed)
}

fn switch(fields: &mut Fields, key: &str, target: &mut Option<bool>) -> Result<(), Error> {
    match fields.peek(key) {
        None => {}
        Some(Value::Null) => {
            fields.take(key);
            *target = None;
        }
        Some(_) => *target = fields.flag(key)?,
    }
    Ok(())
}

fn row(name: &str, seen: Option<&EventName>, switches: EventSwitches) -> Value {
    json!({
        "name": name,
        "first_seen": seen.map(|seen| iso(seen.first_seen)),
        "active": switches.is_active(),
        "is_revenue": switches.is_revenue.unwrap_or_else(|| seen.is_some_and(|seen| seen.is_revenue)),
    })
}
