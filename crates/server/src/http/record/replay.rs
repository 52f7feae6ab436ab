//! Sending again: one delivery, or those that a filter finds, counted first (docs/delivery.md). A replay makes
//! new attempts at the same delivery, under the same identifier unless it is forced.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{Json, extract::State, http::StatusCode};
use courier::Handle;
use measure::{
    AppId, DeliveryId, Timestamp, TriggerId,
    catalogue::Catalogue,
    postback::{Delivery, DeliveryState, attempts_allowed},
    privacy::is_erased,
};
use serde_json::{Value, json};
use store::{DeliveryQuery, Resend, Store, StoreError};
use uuid::Uuid;

use super::{super::asked::Path, deliveries, iso};
use crate::http::{
    fields::{Fields, MaybeFields},
    openapi::Refusals,
};
use crate::{auth::Caller, clock, error::Error, site::Site};

/// Attempts that a replay may take when its trigger is not there to be asked.
const ATTEMPTS: u32 = 4;
/// Deliveries put back in one commit.
const STEP: usize = 500;
/// Replays that are remembered; the oldest are forgotten.
const REPLAYS_MAX: usize = 100;

/// Replays under way and done, of this process.
#[derive(Debug, Default)]
pub struct Replays(Mutex<BTreeMap<u64, Progress>>);

/// How far a replay has come.
#[derive(Clone, Debug)]
struct Progress {
    app: Option<AppId>,
    began: Timestamp,
    matching: usize,
    replayed: usize,
    state: &'static str,
}

impl Replays {
    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Progress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, progress: Progress) -> u64 {
        let mut all = self.all();
        let id = all.last_key_value().map_or(1, |(last, _)| last + 1);
        all.insert(id, progress);
        if all.len() > REPLAYS_MAX {
            all.pop_first();
        }
        id
    }

    fn update(&self, id: u64, change: impl FnOnce(&mut Progress)) {
        if let Some(progress) = self.all().get_mut(&id) {
            change(progress);
        }
    }
}

fn shown(id: u64, progress: &Progress) -> Value {
    json!({
        "replay_id": id, "state": progress.state, "began": iso(progress.began),
        "matching": progress.matching, "replayed": progress.replayed,
    })
}

/// Why a delivery is not sent again.
fn refusal(catalogue: &Catalogue, delivery: &Delivery) -> Option<&'static str> {
    let lives = catalogue.trigger(delivery.trigger).is_some_and(|trigger| !trigger.deleted);
    why_not(delivery, lives)
}

/// As [`refusal`], when it is known whether its trigger is still there.
fn why_not(delivery: &Delivery, lives: bool) -> Option<&'static str> {
    if is_erased(delivery) {
        return Some("it was erased on request, and nothing is left to send");
    }
    match delivery.state {
        DeliveryState::Pending => Some("it is pending already"),
        _ if !lives => Some("its trigger was deleted"),
        // It may have arrived all the same: it was being sent when the decision was changed.
        DeliveryState::Suppressed | DeliveryState::Delivered | DeliveryState::Dead => {
            let superseded = delivery.reason.as_deref() == Some("superseded");
            superseded.then_some("a later decision took its place")
        }
    }
}

fn again(catalogue: &Catalogue, delivery: &Delivery, force: bool, now: Timestamp) -> Resend {
    let made = u32::try_from(delivery.attempts.len()).unwrap_or(u32::MAX);
    let allowed = catalogue.trigger(delivery.trigger).and_then(|trigger| {
        attempts_allowed(trigger, catalogue.template(trigger.template).map(AsRef::as_ref))
    });
    // The partner is to take it for another one: the hash is changed, the time stays.
    let another = Uuid::from_u128(delivery.id.0.as_u128() ^ u128::from(made.saturating_add(1)));
    Resend {
        delivery: delivery.id,
        due: now,
        attempts: allowed.unwrap_or(ATTEMPTS),
        sent_as: force.then_some(DeliveryId(another)),
        request: force.then(|| delivery.request.renamed(delivery.public_id(), DeliveryId(another))),
    }
}

#[utoipa::path(
    post, path = "/api/deliveries/{delivery}/replay", tag = "record",
    params(("delivery" = String, Path, description = "the identifier of the delivery")),
    request_body = Value,
    responses((status = 202, description = "it is pending again; `{\"force\": true}` makes partners take it for another one", body = Value), Refusals),
    operation_id = "deliveries_replay",
)]
pub(in crate::http) async fn one(
    State(site): State<Site>,
    caller: Caller,
    Path(id): Path<String>,
    MaybeFields(mut fields): MaybeFields,
) -> Result<(StatusCode, Json<Value>), Error> {
    let delivery = deliveries::find(&site, &caller, &id).await?;
    caller.may_write(delivery.app)?;
    let force = fields.flag("force")?.unwrap_or(false);
    no_others(fields)?;
    let catalogue = site.catalogue.current();
    if let Some(reason) = refusal(&catalogue, &delivery) {
        return Err(Error::Conflict(format!("the delivery is not sent again: {reason}")));
    }
    let resend = again(&catalogue, &delivery, force, clock::now());
    let sent_as = resend.sent_as.unwrap_or_else(|| delivery.public_id());
    let was_final = site.ask(move |store| store.resend(&[resend])).await?;
    if was_final != [true] {
        let text = "the delivery is not sent again: it was put back or erased at this moment";
        return Err(Error::Conflict(text.to_owned()));
    }
    site.delivery.wake.wake();
    let answer = json!({
        "delivery_id": delivery.id.to_string(), "state": "pending", "sent_as": sent_as.to_string(),
    });
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// A filter that is misspelt would find more than was meant, so what is not known is refused.
fn no_others(fields: Fields) -> Result<(), Error> {
    match fields.rest().next() {
        None => Ok(()),
        Some((name, _)) => Err(Error::BadRequest(format!("{name}: there is no such field"))),
    }
}

/// Which deliveries are replayed.
#[derive(Clone, Debug)]
struct Filter {
    app: Option<AppId>,
    trigger: Option<TriggerId>,
    state: DeliveryState,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Filter {
    fn of(fields: &mut Fields) -> Result<Self, Error> {
        let state = match fields.text("state")?.as_deref() {
            None | Some("dead") => DeliveryState::Dead,
            Some("delivered") => DeliveryState::Delivered,
            Some(_) => return Err(Error::BadRequest("state: must be dead or delivered".to_owned())),
        };
        Ok(Self {
            app: fields.id("app")?,
            trigger: fields.id("trigger")?,
            state,
            from: time(fields, "from")?,
            until: time(fields, "until")?,
        })
    }

    /// The next ones after `after`, newest first, and where to go on.
    fn page(
        &self,
        store: &dyn Store,
        after: Option<DeliveryId>,
    ) -> Result<(Vec<Delivery>, Option<DeliveryId>), StoreError> {
        // Identifiers begin with the time of their decision.
        let end = self.until.map(|until| {
            let millis = u128::try_from(until.millis()).unwrap_or_default() & ((1 << 48) - 1);
            DeliveryId(Uuid::from_u128(millis << 80))
        });
        let query = DeliveryQuery {
            app: self.app,
            trigger: self.trigger,
            state: Some(self.state),
            after: after.or(end),
            limit: STEP,
            ..DeliveryQuery::default()
        };
        let mut found = store.deliveries(&query)?;
        let next = found.last().filter(|_| found.len() == STEP).map(|last| last.id);
        let within = |delivery: &Delivery| self.from.is_none_or(|from| delivery.created >= from);
        let next = next.filter(|_| found.last().is_some_and(within));
        found.retain(within);
        Ok((found, next))
    }
}

/// A point in time: RFC 3339, or epoch seconds.
fn time(fields: &mut Fields, key: &str) -> Result<Option<Timestamp>, Error> {
    let wrong =
        || Error::BadRequest(format!("{key}: must be a time such as 2026-11-21T08:00:00Z, or epoch seconds"));
    match fields.take(key) {
        None => Ok(None),
        Some(Value::Number(number)) => {
            let seconds = number.as_i64().filter(|seconds| (0..=253_402_300_799).contains(seconds));
            Ok(Some(Timestamp::from_seconds(seconds.ok_or_else(wrong)?)))
        }
        Some(Value::String(text)) => {
            let time: jiff::Timestamp = text.trim().parse().map_err(|_| wrong())?;
            Ok(Some(Timestamp(time.as_millisecond())))
        }
        Some(_) => Err(wrong()),
    }
}

#[utoipa::path(
    post, path = "/api/replays", tag = "record",
    request_body = Value,
    responses(
        (status = 200, description = "how many deliveries would be sent again (`dry_run`, which is on unless it is false)", body = Value),
        (status = 202, description = "they are being sent again", body = Value), Refusals,
    ),
    operation_id = "replays_create",
)]
pub(in crate::http) async fn many(
    State(site): State<Site>,
    caller: Caller,
    mut fields: Fields,
) -> Result<(StatusCode, Json<Value>), Error> {
    let mut filter = Filter::of(&mut fields)?;
    let dry_run = fields.flag("dry_run")?.unwrap_or(true);
    let force = fields.flag("force")?.unwrap_or(false);
    no_others(fields)?;
    let catalogue = site.catalogue.current();
    if let Some(trigger) = filter.trigger {
        let known = catalogue.trigger(trigger).filter(|trigger| !trigger.deleted);
        let app = known.ok_or(Error::NotFound("trigger"))?.app;
        if filter.app.is_some_and(|given| given != app) {
            return Err(Error::BadRequest("trigger: it is not one of this app".to_owned()));
        }
        filter.app = Some(app);
    }
    match filter.app {
        Some(app) => caller.may_write(app)?,
        None => caller.may_write_account()?,
    }
    let counted = filter.clone();
    let of = catalogue.clone();
    let matching = site.ask(move |store| count(store, &counted, &of)).await?;
    if dry_run {
        return Ok((StatusCode::OK, Json(json!({ "matching": matching, "dry_run": true }))));
    }
    let replays = site.delivery.replays.clone();
    let progress = Progress { app: filter.app, began: clock::now(), matching, replayed: 0, state: "running" };
    let answer = progress.clone();
    let id = replays.begin(progress);
    let job = Job { store: site.store.clone(), wake: site.delivery.wake.clone(), replays, id };
    tokio::task::spawn_blocking(move || job.run(&filter, &catalogue, force));
    Ok((StatusCode::ACCEPTED, Json(shown(id, &answer))))
}

fn count(store: &dyn Store, filter: &Filter, catalogue: &Catalogue) -> Result<usize, StoreError> {
    let (mut matching, mut after) = (0, None);
    loop {
        let (found, next) = filter.page(store, after)?;
        matching += found.iter().filter(|delivery| refusal(catalogue, delivery).is_none()).count();
        if next.is_none() {
            return Ok(matching);
        }
        after = next;
    }
}

/// A replay under way.
struct Job {
    store: Arc<dyn Store>,
    wake: Handle,
    replays: Arc<Replays>,
    id: u64,
}

impl Job {
    fn run(self, filter: &Filter, catalogue: &Catalogue, force: bool) {
        let outcome = self.put_back(filter, catalogue, force);
        if let Err(error) = &outcome {
            tracing::error!(%error, "a replay broke off");
        }
        let state = if outcome.is_ok() { "done" } else { "failed" };
        self.replays.update(self.id, |progress| progress.state = state);
    }

    fn put_back(&self, filter: &Filter, catalogue: &Catalogue, force: bool) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let (found, next) = filter.page(self.store.as_ref(), after)?;
            let sendable = found.iter().filter(|delivery| refusal(catalogue, delivery).is_none());
            let now = clock::now();
            let resends: Vec<_> = sendable.map(|delivery| again(catalogue, delivery, force, now)).collect();
            let put_back = self.store.resend(&resends)?.into_iter().filter(|was_final| *was_final).count();
            self.replays.update(self.id, |progress| progress.replayed += put_back);
            self.wake.wake();
            if next.is_none() {
                return Ok(());
            }
            after = next;
        }
    }
}

#[utoipa::path(
    get, path = "/api/replays/{replay}", tag = "record",
    params(("replay" = u64, Path, description = "the number of the replay")),
    responses((status = 200, description = "how far it has come", body = Value), Refusals),
    operation_id = "replays_get",
)]
pub(in crate::http) async fn progress(
    State(site): State<Site>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Error> {
    let id: u64 = id.parse().map_err(|_| Error::NotFound("replay"))?;
    let found = site.delivery.replays.all().get(&id).cloned().ok_or(Error::NotFound("replay"))?;
    match found.app {
        Some(app) => caller.may_read(app)?,
        None => caller.may_read_account()?,
    }
    Ok(Json(shown(id, &found)))
}

#[cfg(test)]
mod tests {
    use measure::{
        AppId, DeliveryId, InputId, Timestamp, TriggerId,
        postback::{Delivery, DeliveryState, Request},
    };
    use uuid::Uuid;

    use super::why_not;

    #[test]
    fn what_is_not_sent_again() {
        let check = |state, reason: Option<&str>, lives, url: &str, refusal: Option<&str>| {
            let delivery = Delivery {
                id: DeliveryId(Uuid::from_u128(1)),
                app: AppId(1),
                trigger: TriggerId(1),
                trigger_version: 1,
                conversion: InputId(Uuid::from_u128(1)),
                install: None,
                revision: 0,
                network: None,
                request: Request { url: url.to_owned(), ..Request::default() },
                state,
                reason: reason.map(str::to_owned),
                created: Timestamp(0),
                due: Timestamp(0),
                attempts_allowed: 3,
                attempts: vec![],
                sent_as: None,
                attempts_before: 0,
                planned_paused: false,
            };
            let why = why_not(&delivery, lives);
            match refusal {
                None => assert_eq!(why, None, "{delivery:?}"),
                Some(part) => assert!(why.is_some_and(|why| why.contains(part)), "{why:?}: {delivery:?}"),
            }
        };
        use DeliveryState::{Dead, Delivered, Pending, Suppressed};
        let (url, erased) = ("https://partner.example.com/pb", "https://partner.example.com/[erased]");
        check(Delivered, None, true, url, None);
        check(Dead, Some("status 403"), true, url, None);
        check(Suppressed, Some("rate_cap"), true, url, None);
        check(Pending, None, true, url, Some("pending"));
        check(Suppressed, Some("superseded"), true, url, Some("later decision"));
        check(Delivered, Some("superseded"), true, url, Some("later decision"));
        check(Delivered, None, false, url, Some("trigger was deleted"));
        for state in [Delivered, Dead, Suppressed] {
            check(state, None, true, erased, Some("erased"));
        }
    }
}
