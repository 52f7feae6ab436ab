//! `POST /api/triggers/{trigger}/render` and `/test`: the exact request that a conversion would send, and why it
//! would not be sent; and one attempt with it, beside the outbox (docs/delivery.md).

use std::sync::Arc;

use axum::{Json, extract::State};
use measure::{
    AppId, InputId, InstallId, Timestamp,
    attribution::Source,
    catalogue::{App, Catalogue, Change, Entry},
    device::{Device, Origin},
    engagement::{Engagement, EngagementKind},
    event::{Event, Value as EventValue},
    identifier::{IdKind, Identifier},
    input::{Fact, Payload},
    postback::{Conversion, Delivery, Method, Past, Suppression, Trigger, TriggerKind, plan},
};
use serde_json::{Value, json};
use store::{Store, StoreError};

use super::super::{
    asked::Path,
    fields::Fields,
    openapi::Refusals,
    postbacks,
    record::{deliveries, masking},
};
use crate::{auth::Caller, clock, error::Error, site::Site};

/// A conversion to render with.
struct Case {
    input: InputId,
    install: Option<InstallId>,
    installed: Option<Timestamp>,
    origin: Option<Origin>,
    device: Option<Device>,
    event: Option<Event>,
    click: Option<(Engagement, InputId)>,
    source: Option<Source>,
}

impl Case {
    /// A conversion of which nothing is known.
    const fn of(input: InputId) -> Self {
        Self {
            input,
            install: None,
            installed: None,
            origin: None,
            device: None,
            event: None,
            click: None,
            source: None,
        }
    }
}

#[utoipa::path(
    post, path = "/api/triggers/{trigger}/render", tag = "postbacks",
    params(("trigger" = u64, Path, description = "the number of the trigger")),
    request_body = Value,
    responses((status = 200, description = "the request that `install` (an id), `input` (an id) or a sample would send, and every reason why it would not be sent; nothing is sent", body = Value), Refusals),
    operation_id = "triggers_render",
)]
pub async fn render(
    State(site): State<Site>,
    caller: Caller,
    Path(trigger): Path<String>,
    fields: Fields,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let trigger = postbacks::find(&catalogue, &trigger)?;
    caller.may_read(trigger.app)?;
    let (reasons, delivery) = rendered(&site, &catalogue, trigger, fields).await?;
    Ok(Json(shown(trigger, &reasons, delivery.as_ref())))
}

#[utoipa::path(
    post, path = "/api/triggers/{trigger}/test", tag = "postbacks",
    params(("trigger" = u64, Path, description = "the number of the trigger")),
    request_body = Value,
    responses((status = 200, description = "the request that was sent, once and beside the record, and what came back", body = Value), Refusals),
    operation_id = "triggers_test",
)]
pub async fn test(
    State(site): State<Site>,
    caller: Caller,
    Path(trigger): Path<String>,
    fields: Fields,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let trigger = postbacks::find(&catalogue, &trigger)?;
    caller.may_write(trigger.app)?;
    let (reasons, delivery) = rendered(&site, &catalogue, trigger, fields).await?;
    let mut answer = shown(trigger, &reasons, delivery.as_ref());
    if let Some(delivery) = delivery {
        match site.delivery.sender.try_out(&delivery).await {
            Ok(attempt) => {
                let (url, body) = (masking::url(&delivery.request.url), masking::body(&delivery.request));
                answer["attempt"] = deliveries::attempt(&attempt, method(&delivery), &url, &body);
                answer["delivered"] = attempt.error.is_none().into();
            }
            Err(reason) => {
                answer["delivered"] = false.into();
                answer["refused"] = reason.name().into();
            }
        }
    }
    Ok(Json(answer))
}

fn method(delivery: &Delivery) -> &'static str {
    match delivery.request.method {
        Method::Get => "GET",
        Method::Post => "POST",
    }
}

fn shown(trigger: &Trigger, reasons: &[Suppression], delivery: Option<&Delivery>) -> Value {
    let names: Vec<&str> = reasons.iter().map(|reason| reason.name()).collect();
    let request = delivery.map(|delivery| {
        json!({
            "method": method(delivery),
            "url": masking::url(&delivery.request.url),
            "content_type": delivery.request.content_type,
            "body": masking::body(&delivery.request),
            "success_match": delivery.request.success_match,
            "headers": { "x-sextant-delivery": delivery.id.to_string() },
            "signed": !trigger.sending.secrets.is_empty(),
            "attempts_allowed": delivery.attempts_allowed,
            "delay_ms": delivery.due.since(delivery.created),
        })
    });
    json!({
        "trigger_id": trigger.id,
        "would_send": reasons.is_empty() && delivery.is_some(),
        "suppressed": names,
        "paused": trigger.sending.paused,
        "request": request,
    })
}

async fn rendered(
    site: &Site,
    catalogue: &Arc<Catalogue>,
    trigger: &Trigger,
    mut fields: Fields,
) -> Result<(Vec<Suppression>, Option<Delivery>), Error> {
    let app = catalogue.app(trigger.app).ok_or(Error::NotFound("app"))?.clone();
    let install = fields.text("install")?.map(|id| id.parse::<InstallId>()).transpose();
    let install = install.map_err(|error| Error::BadRequest(format!("install: {error}")))?;
    let input = fields.text("input")?.map(|id| id.parse::<InputId>()).transpose();
    let input = input.map_err(|error| Error::BadRequest(format!("input: {error}")))?;
    let (app_id, kind) = (trigger.app, trigger.kind);
    let found = match (install, input) {
        (None, None) => Some(sample(trigger)),
        (Some(id), None) => site.ask(move |store| of_install(store, app_id, id)).await?,
        (_, Some(id)) => site.ask(move |store| of_input(store, app_id, id)).await?,
    };
    let case = found.ok_or(Error::NotFound("install or input of this app"))?;
    let fits = match kind {
        TriggerKind::Install => case.install.is_some() && case.event.is_none(),
        TriggerKind::Event => case.event.is_some(),
        TriggerKind::Click => case.click.is_some(),
    };
    if !fits {
        return Err(Error::BadRequest(format!(
            "input: this trigger needs one that is of type {}",
            kind.name()
        )));
    }
    Ok(reasons(catalogue, &app, trigger, &case, clock::now()))
}

/// Every reason why nothing would be sent, found by taking away what gave the one before; and the request once
/// nothing stands in its way.
fn reasons(
    catalogue: &Catalogue,
    app: &App,
    trigger: &Trigger,
    case: &Case,
    now: Timestamp,
) -> (Vec<Suppression>, Option<Delivery>) {
    let mut trigger = trigger.clone();
    let mut reasons: Vec<Suppression> = Vec::new();
    loop {
        let mut catalogue = catalogue.clone();
        let version = catalogue.version + 1;
        catalogue.apply(Change { version, at: now, by: None, entry: Entry::Trigger(trigger.clone()) });
        let conversion = Conversion {
            kind: trigger.kind,
            input: case.input,
            decided: now,
            revision: 0,
            app,
            catalogue: &catalogue,
            install: case.install,
            installed: case.installed,
            origin: case.origin.as_ref(),
            device: case.device.as_ref(),
            event: case.event.as_ref(),
            click: case.click.as_ref().map(|(click, input)| (click, (*input).into())),
            source: case.source.as_ref(),
            influencers: &[],
            duplicate: false,
            unsent: &[],
            past: Past::default(),
        };
        let plan = plan(&conversion);
        if let Some(delivery) = plan.deliveries.into_iter().find(|delivery| delivery.trigger == trigger.id) {
            return (reasons, Some(delivery));
        }
        let reason = plan.suppressed.iter().find(|pair| pair.trigger == trigger.id).map(|pair| pair.reason);
        let Some(reason) = reason.filter(|reason| !reasons.contains(reason)) else { return (reasons, None) };
        reasons.push(reason);
        if !relax(&mut trigger, reason) {
            return (reasons, None);
        }
    }
}

/// Takes away what `reason` comes from; whether that can be done.
fn relax(trigger: &mut Trigger, reason: Suppression) -> bool {
    let mut without = |key: &str| trigger.context.retain(|(known, _)| known != key);
    match reason {
        Suppression::Inactive => trigger.active = true,
        Suppression::NotAttributed | Suppression::OtherNetwork | Suppression::InfluencerOnly => {
            without("sx_delivery");
            trigger.context.push(("sx_delivery".to_owned(), EventValue::Text("all".to_owned())));
        }
        Suppression::CountryBlocked => without("sx_countries"),
        Suppression::MissingMacro => without("sx_required"),
        Suppression::Filtered => without("sx_filter"),
        Suppression::DataControlled => without("sx_data_controlled"),
        Suppression::Consent => without("sx_consent"),
        _ => return false,
    }
    true
}

fn of_install(store: &dyn Store, app: AppId, id: InstallId) -> Result<Option<Case>, StoreError> {
    let Some((record, _)) = store.install(app, id)? else { return Ok(None) };
    let device = device_of(store, app, &record.install.origin)?;
    Ok(Some(Case {
        install: Some(record.id),
        installed: Some(record.install.time),
        source: device.as_ref().and_then(|device| device.source.clone()),
        origin: Some(record.install.origin),
        device,
        ..Case::of(InputId::from(record.id))
    }))
}

fn device_of(store: &dyn Store, app: AppId, origin: &Origin) -> Result<Option<Device>, StoreError> {
    for key in origin.join_keys() {
        if let Some(device) = store.device(app, &key)? {
            return Ok(Some(device));
        }
    }
    Ok(None)
}

fn of_input(store: &dyn Store, app: AppId, id: InputId) -> Result<Option<Case>, StoreError> {
    let Some((Fact { input, .. }, _)) = store.fact(id)? else { return Ok(None) };
    if input.app != app {
        return Ok(None);
    }
    match input.payload {
        Payload::Install(_) => of_install(store, app, id.into()),
        Payload::Event(event) => {
            let device = device_of(store, app, &event.origin)?;
            Ok(Some(Case {
                install: device.as_ref().map(|device| device.install),
                installed: device.as_ref().map(|device| device.installed),
                source: device.as_ref().and_then(|device| device.source.clone()),
                origin: Some(event.origin.clone()),
                device,
                event: Some(event),
                ..Case::of(id)
            }))
        }
        Payload::Engagement(click) if click.kind == EngagementKind::Click => {
            Ok(Some(Case { click: Some((click, id)), ..Case::of(id) }))
        }
        _ => Ok(None),
    }
}

/// Somebody who does not exist. A click has no sample: it takes one that came.
fn sample(trigger: &Trigger) -> Case {
    let now = clock::now();
    let id = clock::new_id(now);
    let identifier = |kind, value: &str| Identifier { kind, value: value.to_owned() };
    let origin = Origin {
        kochava_device_id: Some("SAMPLE-DEVICE".to_owned()),
        identifiers: vec![
            identifier(IdKind::Adid, "00000000-0000-4000-8000-000000000001"),
            identifier(IdKind::Idfa, "00000000-0000-4000-8000-000000000002"),
        ],
        ip: Some([203, 0, 113, 1].into()),
        user_agent: Some("Sample".to_owned()),
        country: Some("DE".to_owned()),
        ..Origin::default()
    };
    let event = (trigger.kind == TriggerKind::Event).then(|| Event {
        origin: origin.clone(),
        time: now,
        name: trigger.filter.clone().unwrap_or_else(|| "Purchase".to_owned()),
        amount: Some(measure::Decimal::new(1_499, 2)),
        currency: Some("EUR".to_owned()),
        ..Event::default()
    });
    Case {
        install: (trigger.kind != TriggerKind::Click).then(|| id.into()),
        installed: Some(now),
        origin: Some(origin),
        event,
        ..Case::of(id)
    }
}
