//! Sending again: one delivery, or those that a filter finds, counted first (docs/delivery.md). A replay makes
//! new attempts at the same delivery, under the same identifier unless it is forced, and with the same bytes
//! unless it is to be rendered anew.

mod again;
mod refusal;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{Json, extract::State, http::StatusCode};
use courier::{Handle, Sender};
use measure::{
    AppId, DeliveryId, Timestamp, TriggerId,
    catalogue::Catalogue,
    postback::{Delivery, DeliveryState},
};
use serde_json::{Map, Value, json};
use store::{DeliveryQuery, Store, StoreError};
use uuid::Uuid;

use self::{
    again::{Again, How, resend},
    refusal::Refusal,
};
use super::{super::asked::Path, deliveries, iso};
use crate::http::{
    fields::{Fields, MaybeFields},
    openapi::Refusals,
};
use crate::{auth::Caller, clock, error::Error, site::Site};

/// Deliveries put back in one commit.
const STEP: usize = 500;
/// Replays that are remembered; the oldest are forgotten.
const REPLAYS_MAX: usize = 100;
/// Deliveries rendered to say how many of those that are found can be.
const RENDERED_MAX: usize = 20_000;
/// Deliveries that are named among those that cannot be rendered, the first of them.
const NAMED_MAX: usize = 100;

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
    /// Only of a replay that renders.
    not_rendered: Option<NotRendered>,
    state: &'static str,
}

/// What a replay that renders does not send.
#[derive(Clone, Debug, Default)]
struct NotRendered {
    /// How many there are for each reason.
    reasons: BTreeMap<&'static str, usize>,
    first: Vec<(DeliveryId, &'static str)>,
}

impl NotRendered {
    fn add(&mut self, delivery: DeliveryId, refusal: Refusal) {
        let reason = refusal.name();
        *self.reasons.entry(reason).or_default() += 1;
        if self.first.len() < NAMED_MAX {
            self.first.push((delivery, reason));
        }
    }

    fn show(&self, into: &mut Map<String, Value>) {
        let first = self
            .first
            .iter()
            .map(|(delivery, reason)| json!({ "delivery_id": delivery.to_string(), "reason": reason }));
        into.insert("not_rendered".to_owned(), json!(self.reasons));
        into.insert("first_not_rendered".to_owned(), first.collect());
    }
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
    let mut shown = Map::from_iter([
        ("replay_id".to_owned(), json!(id)),
        ("state".to_owned(), json!(progress.state)),
        ("began".to_owned(), iso(progress.began)),
        ("matching".to_owned(), json!(progress.matching)),
        ("replayed".to_owned(), json!(progress.replayed)),
    ]);
    progress.not_rendered.iter().for_each(|not_rendered| not_rendered.show(&mut shown));
    Value::Object(shown)
}

#[utoipa::path(
    post, path = "/api/deliveries/{delivery}/replay", tag = "record",
    params(("delivery" = String, Path, description = "the identifier of the delivery")),
    request_body = Value,
    responses((status = 202, description = "it is pending again; `{\"force\": true}` makes partners take it for another one, `{\"render\": true}` renders it anew, as its trigger is now", body = Value), Refusals),
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
    let how = how(&mut fields)?;
    no_others(fields)?;
    let (catalogue, sender) = (site.catalogue.current(), site.delivery.sender.clone());
    let (id, now) = (delivery.id, clock::now());
    let (mut sent_as, mut version) = (delivery.public_id(), delivery.trigger_version);
    let ask = move |store: &dyn Store| {
        let order = Again { store, catalogue: &catalogue, sender: &sender, how }.order(&delivery, now)?;
        Ok(match order {
            Ok(resend) => Ok((store.resend(std::slice::from_ref(&resend))?, resend)),
            Err(refusal) => Err(refusal),
        })
    };
    let refused = |reason: &str| Error::Conflict(format!("the delivery is not sent again: {reason}"));
    let (was_final, resend) = site.ask(ask).await?.map_err(|refusal| refused(&refusal.to_string()))?;
    if was_final != [true] {
        return Err(refused("it was put back or erased at this moment"));
    }
    site.delivery.wake.wake();
    sent_as = resend.sent_as.unwrap_or(sent_as);
    version = resend.remade.map_or(version, |remade| remade.trigger_version);
    let answer = json!({
        "delivery_id": id.to_string(), "state": "pending", "sent_as": sent_as.to_string(),
        "trigger_version": version,
    });
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

fn how(fields: &mut Fields) -> Result<How, Error> {
    Ok(How { force: fields.flag("force")?.unwrap_or(false), render: fields.flag("render")?.unwrap_or(false) })
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
            Some("suppressed") => DeliveryState::Suppressed,
            Some(_) => {
                return Err(Error::BadRequest("state: must be dead, delivered or suppressed".to_owned()));
            }
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
        (status = 200, description = "how many deliveries would be sent again (`dry_run`, which is on unless it is false); with `render`, how many can be rendered anew as their triggers are now, and why the others cannot", body = Value),
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
    let how = how(&mut fields)?;
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
    let job = Job {
        store: site.store.clone(),
        sender: site.delivery.sender.clone(),
        wake: site.delivery.wake.clone(),
        replays: site.delivery.replays.clone(),
        catalogue,
        filter,
        how,
    };
    let (job, count) = site.ask(move |_| job.count(dry_run).map(|count| (job, count))).await?;
    if dry_run {
        return Ok((StatusCode::OK, Json(count.shown())));
    }
    let progress = Progress {
        app: job.filter.app,
        began: clock::now(),
        matching: count.matching,
        replayed: 0,
        not_rendered: how.render.then(NotRendered::default),
        state: "running",
    };
    let answer = progress.clone();
    let id = job.replays.begin(progress);
    tokio::task::spawn_blocking(move || job.run(id));
    Ok((StatusCode::ACCEPTED, Json(shown(id, &answer))))
}

/// What a replay would send.
#[derive(Default)]
struct Count {
    matching: usize,
    /// Of a replay that renders, how many can be rendered, as far as that was tried.
    rendered: Option<(usize, NotRendered)>,
}

impl Count {
    fn shown(&self) -> Value {
        let mut shown = Map::from_iter([
            ("matching".to_owned(), json!(self.matching)),
            ("dry_run".to_owned(), json!(true)),
        ]);
        if let Some((rendered, not_rendered)) = &self.rendered {
            shown.insert("rendered".to_owned(), json!(rendered));
            not_rendered.show(&mut shown);
        }
        Value::Object(shown)
    }
}

/// A replay.
struct Job {
    store: Arc<dyn Store>,
    sender: Sender,
    wake: Handle,
    replays: Arc<Replays>,
    catalogue: Arc<Catalogue>,
    filter: Filter,
    how: How,
}

impl Job {
    fn again(&self) -> Again<'_> {
        Again { store: self.store.as_ref(), catalogue: &self.catalogue, sender: &self.sender, how: self.how }
    }

    /// Goes through everything that the filter finds, a page at a time.
    fn pages(&self, mut each: impl FnMut(Vec<Delivery>) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let (found, next) = self.filter.page(self.store.as_ref(), after)?;
            each(found)?;
            if next.is_none() {
                return Ok(());
            }
            after = next;
        }
    }

    /// How many there are. Whoever wants them rendered is told of all that are found, and of as many as are `tried`
    /// whether they can be.
    fn count(&self, tried: bool) -> Result<Count, StoreError> {
        if !self.how.render {
            let mut matching = 0;
            self.pages(|found| {
                let sendable = found.iter().filter(|one| Refusal::of(&self.catalogue, one).is_none());
                matching += sendable.count();
                Ok(())
            })?;
            return Ok(Count { matching, rendered: None });
        }
        let (mut matching, mut rendered, mut not_rendered) = (0, 0, NotRendered::default());
        let (again, now) = (self.again(), clock::now());
        self.pages(|found| {
            let left = if tried { RENDERED_MAX.saturating_sub(matching) } else { 0 };
            for delivery in found.iter().take(left) {
                match again.order(delivery, now)? {
                    Ok(_) => rendered += 1,
                    Err(refusal) => not_rendered.add(delivery.id, refusal),
                }
            }
            matching += found.len();
            Ok(())
        })?;
        Ok(Count { matching, rendered: Some((rendered, not_rendered)) })
    }

    fn run(self, id: u64) {
        let outcome = self.put_back(id);
        if let Err(error) = &outcome {
            tracing::error!(%error, "a replay broke off");
        }
        let state = if outcome.is_ok() { "done" } else { "failed" };
        self.replays.update(id, |progress| progress.state = state);
    }

    fn put_back(&self, id: u64) -> Result<(), StoreError> {
        let again = self.again();
        self.pages(|found| {
            let (now, mut resends, mut refused) = (clock::now(), Vec::new(), Vec::new());
            for delivery in &found {
                match again.order(delivery, now)? {
                    Ok(resend) => resends.push(resend),
                    Err(refusal) => refused.push((delivery.id, refusal)),
                }
            }
            let (put_back, since) = resend(self.store.as_ref(), &resends)?;
            refused.extend(since);
            self.replays.update(id, |progress| {
                progress.replayed += put_back;
                if let Some(not_rendered) = &mut progress.not_rendered {
                    refused.into_iter().for_each(|(delivery, refusal)| not_rendered.add(delivery, refusal));
                }
            });
            self.wake.wake();
            Ok(())
        })
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
