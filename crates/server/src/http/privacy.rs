//! Privacy requests: erase or show what is on record of somebody (tracking-and-attribution.md section 16,
//! management-and-reporting.md sections 8 and 13). There is one account, so whatever number a caller has for
//! it is taken.

use axum::{Json, extract::State};
use measure::{
    AppId, DeviceId, JobId,
    catalogue::Catalogue,
    identifier::{Digest, IdKind, Identifier},
    input::{Fact, Payload},
    privacy::{Job, JobKind, JobState, REQUEST_DEVICES_MAX, Subject},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::{DeliveryQuery, Scrub, Store, StoreError};

use super::{
    apps,
    asked::{Path, Query},
    fields::Fields,
    openapi::{Refusals, bodies::PrivacyBody},
    record::{deliveries, iso, rows},
};
use crate::{auth::Caller, clock, error::Error, site::Site};

/// The kind under which a `kochava_device_id` is named.
const KOCHAVA: &str = "kochava_device_id";
/// Deliveries shown of an install.
const DELIVERIES_MAX: usize = 1_000;

/// `POST /accounts/{account}/privacy/scrub`: erases somebody in every app.
#[utoipa::path(
    post, path = "/accounts/{account}/privacy/scrub", tag = "privacy",
    params(("account" = String, Path, description = "any: there is one account")),
    request_body = PrivacyBody,
    responses((status = 200, description = "the request is queued", body = Value), Refusals),
    operation_id = "privacy_scrub",
)]
pub(super) async fn scrub(
    State(site): State<Site>,
    caller: Caller,
    Path(_account): Path<String>,
    fields: Fields,
) -> Result<Json<Value>, Error> {
    caller.may_write_account()?;
    queue(&site, &caller, JobKind::Scrub, None, fields).await
}

/// `POST /accounts/{account}/apps/{app}/privacy/scrub`: erases somebody in one app.
#[utoipa::path(
    post, path = "/accounts/{account}/apps/{app}/privacy/scrub", tag = "privacy",
    params(("account" = String, Path, description = "any: there is one account"), ("app" = String, Path, description = "the number or the GUID of the app")),
    request_body = PrivacyBody,
    responses((status = 200, description = "the request is queued", body = Value), Refusals),
    operation_id = "privacy_scrub_app",
)]
pub(super) async fn scrub_app(
    State(site): State<Site>,
    caller: Caller,
    Path((_account, app)): Path<(String, String)>,
    fields: Fields,
) -> Result<Json<Value>, Error> {
    let app = app_of(&site, &app)?;
    caller.may_write(app)?;
    queue(&site, &caller, JobKind::Scrub, Some(app), fields).await
}

/// `POST /accounts/{account}/privacy/access`: shows what is on record of somebody in every app.
#[utoipa::path(
    post, path = "/accounts/{account}/privacy/access", tag = "privacy",
    params(("account" = String, Path, description = "any: there is one account")),
    request_body = PrivacyBody,
    responses((status = 200, description = "the request is queued", body = Value), Refusals),
    operation_id = "privacy_access",
)]
pub(super) async fn access(
    State(site): State<Site>,
    caller: Caller,
    Path(_account): Path<String>,
    fields: Fields,
) -> Result<Json<Value>, Error> {
    caller.may_write_account()?;
    queue(&site, &caller, JobKind::Access, None, fields).await
}

/// `POST /accounts/{account}/apps/{app}/privacy/access`: shows what is on record of somebody in one app.
#[utoipa::path(
    post, path = "/accounts/{account}/apps/{app}/privacy/access", tag = "privacy",
    params(("account" = String, Path, description = "any: there is one account"), ("app" = String, Path, description = "the number or the GUID of the app")),
    request_body = PrivacyBody,
    responses((status = 200, description = "the request is queued", body = Value), Refusals),
    operation_id = "privacy_access_app",
)]
pub(super) async fn access_app(
    State(site): State<Site>,
    caller: Caller,
    Path((_account, app)): Path<(String, String)>,
    fields: Fields,
) -> Result<Json<Value>, Error> {
    let app = app_of(&site, &app)?;
    caller.may_write(app)?;
    queue(&site, &caller, JobKind::Access, Some(app), fields).await
}

/// How a request is asked for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asked {
    limit: Option<usize>,
    page_token: Option<usize>,
}

/// `GET /accounts/{account}/privacy/jobs`: newest first.
#[utoipa::path(
    get, path = "/accounts/{account}/privacy/jobs", tag = "privacy",
    params(("account" = String, Path, description = "any: there is one account"), ("limit" = Option<u32>, Query, description = "rows of a page, 1 to 1000"), ("pageToken" = Option<String>, Query, description = "what `nextToken` of the page before said")),
    responses((status = 200, description = "a page of privacy requests, newest first", body = Value), Refusals),
    operation_id = "privacy_jobs",
)]
pub(super) async fn list(
    State(site): State<Site>,
    caller: Caller,
    Path(_account): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Error> {
    let limit = rows(asked.limit)?;
    let jobs = site.ask(|store| store.jobs()).await?;
    let mine = jobs.iter().rev().filter(|job| may_see(&caller, job).is_ok());
    let skipped = asked.page_token.unwrap_or_default();
    let mut rest = mine.skip(skipped);
    let data: Vec<Value> = rest.by_ref().take(limit).map(shown).collect();
    let next = rest.next().map(|_| skipped.saturating_add(limit).to_string());
    Ok(Json(json!({ "data": data, "nextToken": next })))
}

/// `GET /accounts/{account}/privacy/jobs/{job}`: how far a request is and, when it wanted to see, a page of
/// what was found.
#[utoipa::path(
    get, path = "/accounts/{account}/privacy/jobs/{job}", tag = "privacy",
    params(("account" = String, Path, description = "any: there is one account"), ("job" = String, Path, description = "what `job_id` said"), ("limit" = Option<u32>, Query, description = "inputs of a page, 1 to 1000"), ("pageToken" = Option<String>, Query, description = "what `nextToken` of the page before said")),
    responses((status = 200, description = "the privacy request", body = Value), Refusals),
    operation_id = "privacy_job",
)]
pub(super) async fn get(
    State(site): State<Site>,
    caller: Caller,
    Path((_account, job)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Error> {
    let limit = rows(asked.limit)?;
    let id: JobId = job.parse().map_err(|_| Error::NotFound("privacy request"))?;
    let jobs = site.ask(|store| store.jobs()).await?;
    let job = jobs.into_iter().find(|job| job.id == id).ok_or(Error::NotFound("privacy request"))?;
    may_see(&caller, &job)?;
    let mut answer = shown(&job);
    if job.kind == JobKind::Access && job.state == JobState::Completed {
        let skipped = asked.page_token.unwrap_or_default();
        let catalogue = site.catalogue.current();
        answer["data"] = site.ask(move |store| data(store, &catalogue, &job, skipped, limit)).await?;
    }
    Ok(Json(answer))
}

fn may_see(caller: &Caller, job: &Job) -> Result<(), Error> {
    job.app.map_or_else(|| caller.may_read_account(), |app| caller.may_read(app))
}

fn app_of(site: &Site, text: &str) -> Result<AppId, Error> {
    let catalogue = site.catalogue.current();
    let by_guid = || catalogue.app_by_guid(text).map(|app| app.id).ok_or(Error::NotFound("app"));
    apps::find(&catalogue, text).map(|app| app.id).or_else(|_| by_guid())
}

/// Puts a request on record and tells the desk.
async fn queue(
    site: &Site,
    caller: &Caller,
    kind: JobKind,
    app: Option<AppId>,
    fields: Fields,
) -> Result<Json<Value>, Error> {
    let now = clock::now();
    let job = Job {
        id: JobId(clock::new_id(now).0),
        kind,
        app,
        created: now,
        by: Some(caller.key()),
        state: JobState::Queued,
        subject: subject(fields)?,
        resolved: false,
        until: 0,
        done: 0,
        devices: 0,
        inputs: 0,
        deliveries: 0,
        quarantined: 0,
        facts: Vec::new(),
        finished: None,
    };
    let id = job.id;
    let scrub = Scrub { job: Some(job), ..Scrub::default() };
    site.ask(move |store| store.scrub(&scrub)).await?;
    site.privacy.notify_one();
    Ok(Json(json!({
        "status": "OK", "response": "200", "job_status": JobState::Queued.name(), "job_id": id.to_string(),
    })))
}

/// Whom a body is about.
fn subject(mut fields: Fields) -> Result<Subject, Error> {
    let mut subject = Subject::default();
    // A contact; nothing is sent there, so it is not kept.
    fields.text("email")?;
    let devices = list_of(&mut fields, "device_ids")?;
    let links = list_of(&mut fields, "identity_links")?;
    if devices.is_empty() && links.is_empty() {
        return Err(wrong("device_ids: name at least one device, or an identity link in identity_links"));
    }
    if devices.len() + links.len() > REQUEST_DEVICES_MAX {
        let text =
            format!("device_ids: at most {REQUEST_DEVICES_MAX} in one request; send the rest in others");
        return Err(wrong(&text));
    }
    for mut device in devices {
        let kind = device.required_text("id_type")?;
        let value = device.required_text("id_value")?;
        add_device(&mut subject, &kind, &value)?;
    }
    for mut link in links {
        let value = link.required_text("value")?;
        subject.links.push((link.required_text("name")?, value));
    }
    match fields.rest().next() {
        None => Ok(subject),
        Some((name, _)) => Err(wrong(&format!("{name}: there is no such field"))),
    }
}

fn add_device(subject: &mut Subject, kind: &str, value: &str) -> Result<(), Error> {
    if kind.eq_ignore_ascii_case(KOCHAVA) {
        subject.kochava_ids.push(value.to_owned());
        return Ok(());
    }
    let absent = || wrong(&format!("device_ids: {value:?} is no identifier but a placeholder"));
    subject.identifiers.push(Identifier::new(IdKind::named(kind), value).ok_or_else(absent)?);
    // What looks like a digest may be one: senders that hash know no more.
    subject.digests.extend(Digest::parse(value));
    Ok(())
}

fn list_of(fields: &mut Fields, key: &str) -> Result<Vec<Fields>, Error> {
    let text = format!("{key}: must be a list of objects");
    match fields.take(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            let item = |item| match item {
                Value::Object(fields) => Ok(Fields::new(fields)),
                _ => Err(wrong(&text)),
            };
            items.into_iter().map(item).collect()
        }
        Some(_) => Err(wrong(&text)),
    }
}

fn wrong(text: &str) -> Error {
    Error::BadRequest(text.to_owned())
}

fn shown(job: &Job) -> Value {
    let kind = match job.kind {
        JobKind::Scrub => "scrub",
        JobKind::Access => "access",
    };
    json!({
        "status": "OK", "response": "200", "job_status": job.state.name(), "job_id": job.id.to_string(),
        "kind": kind, "app_id": job.app, "created": iso(job.created), "key_id": job.by,
        "finished": job.finished.map(iso),
        "found": {
            "devices": job.devices, "inputs": job.inputs, "deliveries": job.deliveries,
            "quarantined": job.quarantined,
        },
    })
}

/// What an access request found, as it is on record now: what was erased since is not in it.
fn data(
    store: &dyn Store,
    catalogue: &Catalogue,
    job: &Job,
    skipped: usize,
    limit: usize,
) -> Result<Value, StoreError> {
    let mut devices = Vec::new();
    let mut sent = Vec::new();
    for (app, device, install) in &job.subject.devices {
        devices.extend(device_of(store, *app, *device)?);
        let query =
            DeliveryQuery { install: Some(*install), limit: DELIVERIES_MAX, ..DeliveryQuery::default() };
        sent.extend(store.deliveries(&query)?.iter().map(|sent| deliveries::delivery(catalogue, sent)));
    }
    let mut inputs = Vec::new();
    for sequence in job.facts.iter().skip(skipped).take(limit) {
        let fact = store.facts(*sequence, 1)?.pop().filter(|fact| fact.sequence == *sequence);
        inputs.extend(fact.as_ref().map(input));
    }
    let end = skipped.saturating_add(limit);
    let next = (end < job.facts.len()).then(|| end.to_string());
    Ok(json!({ "devices": devices, "deliveries": sent, "inputs": inputs, "nextToken": next }))
}

fn device_of(store: &dyn Store, app: AppId, id: DeviceId) -> Result<Option<Value>, StoreError> {
    // Devices come in order: its own comes right after the identifier before it.
    let before = DeviceId(uuid::Uuid::from_u128(id.0.as_u128().wrapping_sub(1)));
    let device = store.devices(app, Some(before), 1)?.pop().filter(|device| device.id == id);
    Ok(device.map(|device| {
        let identifiers: Map<String, Value> = device
            .identifiers
            .iter()
            .map(|identifier| (identifier.kind.name().to_owned(), identifier.value.as_str().into()))
            .collect();
        let links: Map<String, Value> =
            device.links.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        json!({
            "app_id": app, "device_id": id.to_string(), "kochava_device_ids": device.kochava_ids,
            "identifiers": identifiers, "identity_links": links, "model": device.traits.model,
            "os": device.traits.os_text(), "install_id": device.install.to_string(),
            "installed": iso(device.installed),
        })
    }))
}

fn input(fact: &Fact) -> Value {
    let input = &fact.input;
    let (ip, user_agent, query) = match &input.payload {
        Payload::Engagement(engagement) => {
            (engagement.ip, engagement.user_agent.as_deref(), Some(engagement.query.as_str()))
        }
        Payload::Install(install) => (install.origin.ip, install.origin.user_agent.as_deref(), None),
        Payload::Event(event) => (event.origin.ip, event.origin.user_agent.as_deref(), None),
        Payload::Update(_)
        | Payload::Link(_)
        | Payload::Aggregate(_)
        | Payload::Ignored(_)
        | Payload::Claim(_) => (None, None, None),
    };
    json!({
        "input_id": input.id.to_string(), "app_id": input.app, "kind": input.payload.kind(),
        "received": iso(input.received), "ip": ip, "user_agent": user_agent, "query": query,
        "body": input.body,
    })
}
