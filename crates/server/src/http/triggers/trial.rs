//! `POST /api/triggers/{trigger}/render` and `/test`: the exact request that a conversion would send, and why it
//! would not be sent; and one attempt with it, beside the outbox (docs/delivery.md).

use std::sync::Arc;

use axum::{Json, extract::State};
use measure::{
    CampaignId, InputId, InstallId, NetworkId, SegmentId, Timestamp, TrackerId, TriggerId,
    attribution::Source,
    catalogue::{App, Catalogue, Change, Entry, EventSwitches},
    consent::Att,
    device::Origin,
    engagement::{Engagement, EngagementKind, LinkIdentifier},
    event::{Event, Value as EventValue},
    identifier::{IdKind, Identifier},
    place::Place,
    platform::Traits,
    postback::{Cap, Conversion, Delivery, Past, Suppression, Template, Trigger, TriggerKind, cap, plan},
    time::HOUR_MS,
};
use serde_json::{Map, Value, json};
use store::{DeliveryQuery, Store, StoreError};

use super::{
    super::{
        asked::Path,
        fields::{Fields, MaybeFields},
        openapi::Refusals,
        postbacks::{self, secrets::Hidden},
        record::{
            deliveries::{self, Sent},
            masking,
        },
    },
    case::{Case, of_input, of_install},
};
use crate::{auth::Caller, clock, error::Error, site::Site};

/// Deliveries of a trigger looked through to find whether it has sent what it may, the newest first.
const LOOKED_THROUGH_MAX: usize = 20_000;

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
    MaybeFields(fields): MaybeFields,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let trigger = postbacks::find(&catalogue, &trigger)?;
    caller.may_read(trigger.app)?;
    let (reasons, delivery) = rendered(&site, &catalogue, trigger, fields).await?;
    Ok(Json(shown(&catalogue, trigger, &reasons, delivery.as_ref())))
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
    MaybeFields(fields): MaybeFields,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let trigger = postbacks::find(&catalogue, &trigger)?;
    caller.may_write(trigger.app)?;
    let (reasons, delivery) = rendered(&site, &catalogue, trigger, fields).await?;
    let mut answer = shown(&catalogue, trigger, &reasons, delivery.as_ref());
    if let Some(delivery) = delivery {
        match site.delivery.sender.try_out(&delivery).await {
            Ok(attempt) => {
                let hidden = Hidden::of(&catalogue, trigger.id, trigger.version);
                let sent = Sent::new(&hidden, trigger.version, &delivery.request);
                answer["attempt"] = deliveries::attempt(&hidden, &attempt, Some(&sent));
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

fn shown(
    catalogue: &Catalogue,
    trigger: &Trigger,
    reasons: &[Suppression],
    delivery: Option<&Delivery>,
) -> Value {
    let names: Vec<&str> = reasons.iter().map(|reason| reason.name()).collect();
    let request = delivery.map(|delivery| {
        let hidden = Hidden::of(catalogue, trigger.id, trigger.version);
        let sent = Sent::new(&hidden, trigger.version, &delivery.request);
        let header = |(name, value): &(String, String)| {
            (name.clone(), hidden.text(masking::header(name, value)).into())
        };
        let mut headers: Map<String, Value> = delivery.request.headers.iter().map(header).collect();
        headers.insert("x-sextant-delivery".to_owned(), delivery.id.to_string().into());
        json!({
            "method": sent.method,
            "url": sent.url,
            "content_type": delivery.request.content_type,
            "body": sent.body,
            "success_match": delivery.request.success_match,
            "headers": headers,
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
        (None, None) => Some(sample(catalogue, trigger)),
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
    let now = clock::now();
    let template = catalogue.template(trigger.template).map(AsRef::as_ref);
    let spent = match cap(trigger, template) {
        Some(cap) => {
            let trigger = trigger.id;
            site.ask(move |store| is_spent(store, trigger, cap, now)).await?
        }
        None => false,
    };
    let setup = Setup {
        trigger: trigger.clone(),
        template: template.cloned(),
        switched_on: false,
        spent: if spent { vec![trigger.id] } else { Vec::new() },
    };
    Ok(reasons(catalogue, &app, setup, &case, now))
}

/// Whether a trigger has sent as much as it may in the hour or day of `now`, as far as its newest deliveries
/// tell.
fn is_spent(store: &dyn Store, trigger: TriggerId, cap: Cap, now: Timestamp) -> Result<bool, StoreError> {
    let begin = Timestamp(now.millis() - now.millis().rem_euclid(cap.within_ms));
    let mut query = DeliveryQuery { trigger: Some(trigger), limit: 1_000, ..DeliveryQuery::default() };
    let mut sent = 0;
    for _ in 0..LOOKED_THROUGH_MAX / query.limit {
        let page = store.deliveries(&query)?;
        sent += page.iter().filter(|delivery| delivery.created >= begin).count();
        let Some(last) = page.last().filter(|last| last.created >= begin) else { break };
        query.after = Some(last.id);
    }
    Ok(sent >= cap.most as usize)
}

/// What a conversion is planned with, as far as reasons come from it.
struct Setup {
    trigger: Trigger,
    template: Option<Template>,
    /// Whether the event's name is taken for active whatever its switch says.
    switched_on: bool,
    spent: Vec<TriggerId>,
}

impl Setup {
    /// The catalogue with this trigger and template.
    fn catalogue(&self, catalogue: &Catalogue, case: &Case, now: Timestamp) -> Catalogue {
        let mut catalogue = catalogue.clone();
        let mut entries = vec![Entry::Trigger(self.trigger.clone())];
        entries.extend(self.template.clone().map(|template| Entry::Templates(vec![template])));
        if let (true, Some(event)) = (self.switched_on, &case.event) {
            let switches = catalogue.event_switches(self.trigger.app, &event.name);
            let switches = EventSwitches { active: Some(true), ..switches };
            entries.push(Entry::Event(self.trigger.app, event.name.clone(), switches));
        }
        for entry in entries {
            let version = catalogue.version + 1;
            catalogue.apply(Change { version, at: now, by: None, entry });
        }
        catalogue
    }

    fn sets(&self, key: &str) -> bool {
        self.trigger.setting(key).is_some()
            || self.template.as_ref().is_some_and(|template| template.default_of(key).is_some())
    }

    fn set(&mut self, key: &str, value: &str) {
        self.without(key);
        self.trigger.context.push((key.to_owned(), EventValue::Text(value.to_owned())));
    }

    /// Takes a setting out of the context, and out of what the template has for it.
    fn without(&mut self, key: &str) {
        self.trigger.context.retain(|(known, _)| known != key);
        if let Some(template) = &mut self.template {
            template.defaults.retain(|(known, _)| known != key);
        }
    }

    /// Tells everybody, but for what only those who tell everybody would tell.
    fn tell_all(&mut self) {
        if !self.sets("sx_session_cap") {
            self.set("sx_session_cap", "true");
        }
        self.set("sx_delivery", "all");
    }

    /// Takes away what `reason` comes from; whether that can be done.
    fn relax(&mut self, reason: Suppression) -> bool {
        match reason {
            Suppression::Inactive => self.trigger.active = true,
            Suppression::EventInactive => self.switched_on = true,
            Suppression::NotAttributed | Suppression::OtherNetwork | Suppression::InfluencerOnly => {
                self.tell_all();
            }
            Suppression::SessionCap => self.set("sx_session_cap", "false"),
            // Look-back windows bind only what goes to one network.
            Suppression::Filtered => {
                self.without("sx_filter");
                self.tell_all();
            }
            Suppression::CountryBlocked => self.without("sx_countries"),
            Suppression::DataControlled => self.without("sx_data_controlled"),
            Suppression::Consent => self.without("sx_consent"),
            Suppression::RateCap => self.spent.clear(),
            Suppression::MissingMacro => {
                self.without("sx_required");
                if let Some(template) = &mut self.template {
                    template.required.clear();
                }
            }
            _ => return false,
        }
        true
    }
}

/// Every reason why nothing would be sent, found by taking away what gave the one before; and the request once
/// nothing stands in its way.
fn reasons(
    catalogue: &Catalogue,
    app: &App,
    mut setup: Setup,
    case: &Case,
    now: Timestamp,
) -> (Vec<Suppression>, Option<Delivery>) {
    let trigger = setup.trigger.id;
    let mut reasons: Vec<Suppression> = Vec::new();
    loop {
        let altered = setup.catalogue(catalogue, case, now);
        let past = Past { repeated: false, last_session: case.last_session(), spent: &setup.spent };
        let plan = plan(&Conversion { past, ..case.conversion(setup.trigger.kind, app, &altered, now) });
        if let Some(delivery) = plan.deliveries.into_iter().find(|delivery| delivery.trigger == trigger) {
            return (reasons, Some(delivery));
        }
        let reason = plan.suppressed.iter().find(|pair| pair.trigger == trigger).map(|pair| pair.reason);
        let Some(reason) = reason.filter(|reason| !reasons.contains(reason)) else { return (reasons, None) };
        reasons.push(reason);
        if !setup.relax(reason) {
            return (reasons, None);
        }
    }
}

/// Somebody who does not exist, and whom a tracker of the app has brought: one of the network that the trigger
/// is for, where it is for one.
fn sample(catalogue: &Catalogue, trigger: &Trigger) -> Case {
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
    let click = sample_click(catalogue, trigger, &origin, now);
    if trigger.kind == TriggerKind::Click {
        return Case { click: Some((click, id)), ..Case::of(id) };
    }
    let known = catalogue.tracker(click.tracker).is_some() || network_of(catalogue, trigger).is_some();
    let tracked = catalogue.tracker(click.tracker).map(|tracker| tracker.id);
    Case {
        install: Some(id.into()),
        installed: Some(now),
        origin: Some(origin),
        event,
        source: known.then(|| Source {
            touch: Some(id.into()),
            kind: EngagementKind::Click,
            class: "device_id".to_owned(),
            time: click.time,
            network: click.network,
            campaign: tracked.map(|_| click.campaign),
            segment: tracked.map(|_| click.segment),
            tracker: tracked,
            click_id: click.click_id,
            site_id: click.site_id,
            sub_site_id: click.sub_site_id,
            creative_id: click.creative_id,
            params: click.params,
            query: String::new(),
            reengagement: false,
        }),
        ..Case::of(id)
    }
}

/// The network that a trigger is for.
fn network_of(catalogue: &Catalogue, trigger: &Trigger) -> Option<NetworkId> {
    let named = trigger.setting("sx_network_id").and_then(|id| id.trim().parse().ok());
    named.or_else(|| catalogue.template(trigger.template)?.network)
}

/// A click on the newest link that fits the trigger; on none that there is when none does.
fn sample_click(catalogue: &Catalogue, trigger: &Trigger, origin: &Origin, now: Timestamp) -> Engagement {
    let network = network_of(catalogue, trigger);
    let trackers = catalogue.trackers();
    let mut own = trackers.iter().rev().filter(|tracker| !tracker.deleted && tracker.app == trigger.app);
    let tracker = own.find(|tracker| network.is_none_or(|network| tracker.network == network));
    let text = |text: &str| Some(text.to_owned());
    Engagement {
        kind: EngagementKind::Click,
        time: now.plus(-HOUR_MS),
        tracker: tracker.map_or(TrackerId(0), |tracker| tracker.id),
        network: tracker.map(|tracker| tracker.network).or(network).unwrap_or(NetworkId(0)),
        campaign: tracker.map_or(CampaignId(0), |tracker| tracker.campaign),
        segment: tracker.map_or(SegmentId(0), |tracker| tracker.segment),
        identifiers: origin.identifiers.iter().cloned().map(LinkIdentifier::Plain).collect(),
        ip: origin.ip,
        user_agent: origin.user_agent.clone(),
        traits: Traits::default(),
        att: Att::default(),
        click_id: text("SAMPLE-CLICK"),
        site_id: text("SAMPLE-SITE"),
        sub_site_id: text("SAMPLE-SUB-SITE"),
        creative_id: text("SAMPLE-CREATIVE"),
        params: Vec::new(),
        query: String::new(),
        place: Place::default(),
        ip_of_caller: false,
    }
}
