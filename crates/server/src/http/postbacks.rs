//! Triggers: which postbacks are sent (management-and-reporting.md section 7, postbacks.md sections 3, 12).

pub mod history;
pub mod secrets;
pub mod templates;

use axum::{Json, extract::State, http::StatusCode};
use measure::{
    AppId, TemplateId, Timestamp, TriggerId,
    catalogue::{Catalogue, Entry, Network},
    event,
    policy::Windows,
    postback::{Sending, Template, Trigger, TriggerKind, validate},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use wire::partner::json_value;

use super::{
    apps,
    asked::{Path, Query},
    fields::Fields,
    next_id,
    record::masking::MASK,
};
use crate::http::openapi::{
    Refusals,
    bodies::{TriggerBody, TriggerChange},
};
use crate::{
    auth::Caller,
    clock,
    error::{Error, envelope},
    signing,
    site::Site,
};

/// Rows of a page.
const PAGE_ROWS: usize = 50;

/// How a list is asked for.
#[derive(Debug, Default, Deserialize)]
pub struct Page {
    #[serde(rename = "pageToken")]
    page_token: Option<String>,
}

impl Page {
    /// The rows in the envelope: all of them, or a page when paging is on, which it is with `pageToken=1`
    /// (management-and-reporting.md section 1).
    fn of(&self, rows: Vec<Value>) -> Result<Json<Value>, Error> {
        let Some(token) = &self.page_token else { return Ok(Json(envelope(true, &[], &[], rows))) };
        let page: usize = token.parse().ok().filter(|page| *page >= 1).ok_or_else(|| {
            Error::BadRequest("pageToken: must be 1, or what nextToken or previousToken said".to_owned())
        })?;
        let pages = rows.len().div_ceil(PAGE_ROWS);
        let rows = rows.into_iter().skip((page - 1).saturating_mul(PAGE_ROWS)).take(PAGE_ROWS).collect();
        let mut answer = envelope(true, &[], &[], rows);
        answer["nextToken"] = (page < pages).then(|| (page + 1).to_string()).into();
        answer["previousToken"] = (page > 1).then(|| (page - 1).min(pages.max(1)).to_string()).into();
        Ok(Json(answer))
    }
}

/// `GET /apps/{app}/postbacks`
#[utoipa::path(
    get, path = "/apps/{app}/postbacks", tag = "postbacks",
    params(("app" = u64, Path, description = "the number of the app"), ("pageToken" = Option<String>, Query, description = "1 turns paging on, 50 rows a page")),
    responses((status = 200, description = "the triggers of the app, in the envelope", body = Value), Refusals),
    operation_id = "postbacks_list",
)]
pub async fn list(
    State(site): State<Site>,
    caller: Caller,
    Path(app): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let app = apps::find(&catalogue, &app)?;
    caller.may_read(app.id)?;
    let whole = caller.may_write(app.id).is_ok();
    page.of(catalogue.triggers_of(app.id).map(|trigger| object(&catalogue, trigger, whole)).collect())
}

/// `GET /apps/{app}/postbacks/{trigger}`
#[utoipa::path(
    get, path = "/apps/{app}/postbacks/{trigger}", tag = "postbacks",
    params(("app" = u64, Path, description = "the number of the app"), ("trigger" = u64, Path, description = "the number of the trigger")),
    responses((status = 200, description = "the trigger, in the envelope", body = Value), Refusals),
    operation_id = "postbacks_get",
)]
pub async fn get(
    State(site): State<Site>,
    caller: Caller,
    Path((app, trigger)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let app = apps::find(&catalogue, &app)?;
    caller.may_read(app.id)?;
    let trigger = find(&catalogue, &trigger)?;
    if trigger.app != app.id {
        return Err(Error::NotFound("trigger"));
    }
    let whole = caller.may_write(app.id).is_ok();
    Ok(Json(envelope(true, &[], &[], vec![object(&catalogue, trigger, whole)])))
}

/// `POST /postbacks`
#[utoipa::path(
    post, path = "/postbacks", tag = "postbacks",
    request_body = TriggerBody,
    responses((status = 201, description = "the trigger, in the envelope", body = Value), Refusals),
    operation_id = "postbacks_create",
)]
pub async fn create(
    State(site): State<Site>,
    caller: Caller,
    mut fields: Fields,
) -> Result<(StatusCode, Json<Value>), Error> {
    let now = clock::now();
    let answer = site.catalogue.change(now, Some(caller.key()), |catalogue| {
        let app: AppId = fields.required_id("app_id")?;
        let app = apps::find(catalogue, &app.to_string())
            .map_err(|_| Error::BadRequest("app_id: there is no such app".to_owned()))?;
        caller.may_write(app.id)?;
        let mut trigger = Trigger {
            id: TriggerId(next_id(catalogue.triggers().last().map(|trigger| trigger.id.0), 1)),
            version: 1,
            app: app.id,
            kind: kind(&fields.required_text("type")?)?,
            title: fields.text("title")?.unwrap_or_default(),
            template: TemplateId(fields.required_id("template_id")?),
            filter: fields.exact_text("filter_str")?.filter(|filter| !filter.is_empty()),
            active: fields.flag("active")?.unwrap_or(false),
            context: Vec::new(),
            created: now,
            deleted: false,
            sending: Sending::default(),
        };
        let template = catalogue.template(trigger.template).map(AsRef::as_ref);
        if let Some(context) = fields.object("context")? {
            merge(&mut trigger.context, template, context)?;
        }
        signing::take(&mut trigger, &site.vault, now)?;
        if let Some(template) = template.filter(|template| template.retired || !template.suits(&app.platform))
        {
            let reason = if template.retired { "is no longer offered" } else { "is for another platform" };
            return Err(Error::BadRequest(format!("template_id: {} {reason}", template.name)));
        }
        let mut warnings = check(catalogue, &trigger)?;
        if catalogue.triggers_of(app.id).any(|other| is_duplicate(&trigger, other)) {
            return Err(duplicate(&site));
        }
        warnings.extend(ignored(fields));
        let answer = envelope(true, &[], &warnings, vec![object(catalogue, &trigger, true)]);
        let mut entries: Vec<Entry> =
            network_of(catalogue, template, now).map(Entry::Network).into_iter().collect();
        entries.push(Entry::Trigger(trigger));
        Ok((entries, answer))
    });
    Ok((StatusCode::CREATED, Json(answer.await?)))
}

/// `PATCH /postbacks/{trigger}`: title, active and context, which is merged by key; `null` deletes a key.
/// What was planned before goes out as it was planned, also when the trigger is switched off.
#[utoipa::path(
    patch, path = "/postbacks/{trigger}", tag = "postbacks",
    params(("trigger" = u64, Path, description = "the number of the trigger")),
    request_body = TriggerChange,
    responses((status = 200, description = "the trigger as it is now, in the envelope", body = Value), Refusals),
    operation_id = "postbacks_update",
)]
pub async fn update(
    State(site): State<Site>,
    caller: Caller,
    Path(trigger): Path<String>,
    mut fields: Fields,
) -> Result<Json<Value>, Error> {
    let answer = site.catalogue.change(clock::now(), Some(caller.key()), |catalogue| {
        let mut trigger = find(catalogue, &trigger)?.clone();
        caller.may_write(trigger.app)?;
        if let Some(title) = fields.text("title")? {
            trigger.title = title;
        }
        if let Some(active) = fields.flag("active")? {
            trigger.active = active;
        }
        if let Some(context) = fields.object("context")? {
            let template = catalogue.template(trigger.template).map(AsRef::as_ref);
            merge(&mut trigger.context, template, context)?;
        }
        signing::take(&mut trigger, &site.vault, clock::now())?;
        unchanged(&trigger, &mut fields)?;
        trigger.version = trigger.version.saturating_add(1);
        let mut warnings = check(catalogue, &trigger)?;
        warnings.extend(ignored(fields));
        let answer = envelope(true, &[], &warnings, vec![object(catalogue, &trigger, true)]);
        Ok::<_, Error>((vec![Entry::Trigger(trigger)], answer))
    });
    Ok(Json(answer.await?))
}

/// `DELETE /postbacks/{trigger}`: answered without a body. What it had not delivered yet is suppressed as
/// `trigger_deleted` (DECISIONS 7).
#[utoipa::path(
    delete, path = "/postbacks/{trigger}", tag = "postbacks",
    params(("trigger" = u64, Path, description = "the number of the trigger")),
    responses((status = 200, description = "it is gone; no body"), Refusals),
    operation_id = "postbacks_delete",
)]
pub async fn delete(
    State(site): State<Site>,
    caller: Caller,
    Path(trigger): Path<String>,
) -> Result<StatusCode, Error> {
    let answer = site.catalogue.change(clock::now(), Some(caller.key()), |catalogue| {
        let trigger = deleted(find(catalogue, &trigger)?);
        caller.may_write(trigger.app)?;
        let id = trigger.id;
        Ok::<_, Error>((vec![Entry::Trigger(trigger)], id))
    });
    let trigger = answer.await?;
    site.ask(move |store| store.withdraw(trigger)).await?;
    Ok(StatusCode::OK)
}

/// A trigger as it is once deleted.
pub(super) fn deleted(trigger: &Trigger) -> Trigger {
    Trigger { deleted: true, version: trigger.version.saturating_add(1), ..trigger.clone() }
}

pub(super) fn find<'c>(catalogue: &'c Catalogue, id: &str) -> Result<&'c Trigger, Error> {
    let trigger = id.parse().ok().and_then(|id| catalogue.trigger(id));
    let lives = |trigger: &&std::sync::Arc<Trigger>| {
        !trigger.deleted && catalogue.app(trigger.app).is_some_and(|app| !app.deleted)
    };
    trigger.filter(lives).map(AsRef::as_ref).ok_or(Error::NotFound("trigger"))
}

fn kind(name: &str) -> Result<TriggerKind, Error> {
    [TriggerKind::Install, TriggerKind::Event, TriggerKind::Click]
        .into_iter()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| Error::BadRequest("type: must be install, event or click".to_owned()))
}

/// One install and one click trigger for a template and app; one event trigger for each filter.
fn is_duplicate(one: &Trigger, other: &Trigger) -> bool {
    one.template == other.template
        && one.kind == other.kind
        && (one.kind != TriggerKind::Event || one.filter == other.filter)
}

fn duplicate(site: &Site) -> Error {
    let text = "Duplicate postback".to_owned();
    match site.config.publisher_api.duplicate_status {
        400 => Error::BadRequest(text),
        _ => Error::Conflict(text),
    }
}

/// What is odd but allowed; 400 for what cannot be sent. A template that is not in the catalogue may be one
/// of the incumbent's: it is taken for a custom one of a network.
fn check(catalogue: &Catalogue, trigger: &Trigger) -> Result<Vec<String>, Error> {
    let template = catalogue.template(trigger.template).map(AsRef::as_ref);
    let mut warnings = validate(trigger, template).map_err(Error::BadRequest)?;
    if template.is_none() {
        let id = trigger.template;
        warnings.push(format!(
            "template_id: there is no template {id}; it is taken for a URL of a network's own"
        ));
    }
    let named = trigger.setting("sx_network_id").and_then(|id| id.parse().ok());
    if named.is_some_and(|network| catalogue.network(network).is_none()) {
        warnings.push("context.sx_network_id: there is no such network".to_owned());
    }
    Ok(warnings)
}

/// The network of a template, when this is the first trigger that needs it.
fn network_of(catalogue: &Catalogue, template: Option<&Template>, now: Timestamp) -> Option<Network> {
    let template = template?;
    let id = template.network.filter(|id| catalogue.network(*id).is_none())?;
    Some(Network {
        id,
        name: template.name.clone(),
        windows: Windows::default(),
        created: now,
        deleted: false,
        extra: "{}".to_owned(),
    })
}

/// Refuses changes of what stays as it was made.
fn unchanged(trigger: &Trigger, fields: &mut Fields) -> Result<(), Error> {
    let same = |name: &str, same: bool| {
        let text = format!("{name}: cannot be changed; delete the trigger and create another one");
        if same { Ok(()) } else { Err(Error::BadRequest(text)) }
    };
    same("app_id", fields.id("app_id")?.is_none_or(|app: AppId| app == trigger.app))?;
    same("type", fields.text("type")?.is_none_or(|kind| kind == trigger.kind.name()))?;
    same("template_id", fields.id("template_id")?.is_none_or(|id: TemplateId| id == trigger.template))?;
    let filter = trigger.filter.as_deref().unwrap_or_default();
    same("filter_str", fields.exact_text("filter_str")?.is_none_or(|given| given == filter))
}

/// Warnings about fields that mean nothing here.
fn ignored(mut fields: Fields) -> Vec<String> {
    fields.without(&["id", "date_created", "paused", "signing_secrets"]);
    fields.rest().map(|(key, _)| format!("{key}: is not known and was ignored")).collect()
}

/// Merges by key: new values take the place of old ones, `null` deletes. A secret that comes back as it is
/// shown stays what it is.
fn merge(
    context: &mut Vec<(String, event::Value)>,
    template: Option<&Template>,
    changes: Fields,
) -> Result<(), Error> {
    for (key, value) in changes.rest() {
        let place = context.iter().position(|(known, _)| *known == key);
        if secrets::is_masked(template, &key, &value) {
            if place.is_some() {
                continue;
            }
            return Err(no_secret(&key));
        }
        let old = place.and_then(|place| context.get(place)).map(|(_, old)| json_value(old));
        let value = secrets::sent_back(&key, old.as_ref(), value).map_err(|key| no_secret(&key))?;
        let value = match value {
            Value::Null => {
                place.map(|place| context.remove(place));
                continue;
            }
            Value::String(text) => event::Value::Text(text),
            Value::Number(number) => event::Value::Number(number.to_string()),
            Value::Bool(flag) => event::Value::Bool(flag),
            other => event::Value::Json(other.to_string()),
        };
        match place.and_then(|place| context.get_mut(place)) {
            Some((_, old)) => *old = value,
            None => context.push((key, value)),
        }
    }
    Ok(())
}

fn no_secret(key: &str) -> Error {
    Error::BadRequest(format!(
        "context.{key}: send the secret itself; none is set that {MASK} could stand for"
    ))
}

/// A trigger as it is shown, without its secrets; `whole` to somebody who may change it.
fn object(catalogue: &Catalogue, trigger: &Trigger, whole: bool) -> Value {
    let mut object = plain(trigger);
    object
        .get_mut("context")
        .into_iter()
        .for_each(|context| secrets::hide(catalogue, trigger, context, whole));
    object
}

/// A trigger with its secrets.
pub(super) fn plain(trigger: &Trigger) -> Value {
    let context: Map<String, Value> =
        trigger.context.iter().map(|(key, value)| (key.clone(), json_value(value))).collect();
    let mut object = serde_json::json!({
        "id": trigger.id, "app_id": trigger.app, "type": trigger.kind.name(), "title": trigger.title,
        "template_id": trigger.template, "filter_str": trigger.filter, "active": trigger.active,
        "date_created": trigger.created.seconds(), "context": context,
    });
    if let (true, Some(fields)) = (trigger.sending.paused, object.as_object_mut()) {
        fields.insert("paused".to_owned(), true.into());
    }
    if let (true, Some(fields)) = (!trigger.sending.secrets.is_empty(), object.as_object_mut()) {
        let ids: Vec<u32> = trigger.sending.secrets.iter().map(|secret| secret.id).collect();
        fields.insert("signing_secrets".to_owned(), serde_json::json!(ids));
    }
    if let (None, Some(fields)) = (&trigger.filter, object.as_object_mut()) {
        fields.shift_remove("filter_str");
    }
    object
}
