//! `GET /api/ledger` (DECISIONS 9, 10 and 29).

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use measure::{
    AppId,
    ledger::{Counter, Tally},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::asked::Query;
use crate::http::openapi::Refusals;
use crate::{auth::Caller, error::Error, site::Site};

#[derive(Deserialize)]
pub(in crate::http) struct Asked {
    app: Option<AppId>,
}

#[utoipa::path(
    get, path = "/api/ledger", tag = "record",
    params(("app" = Option<u64>, Query, description = "only of this app")),
    responses((status = 200, description = "what came in and what became of it", body = Value), Refusals),
    operation_id = "ledger_ledger",
)]
pub(in crate::http) async fn ledger(
    State(site): State<Site>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Error> {
    match asked.app {
        Some(app) => {
            caller.may_read(app)?;
            if site.catalogue.current().app(app).is_none() {
                return Err(Error::NotFound("app"));
            }
        }
        None => caller.may_read_account()?,
    }
    // The store is read between two looks at the process: what it holds has to lie between what was known
    // to be kept before and what could have been kept after.
    let before = site.ledger.counts(asked.app);
    let (tally, open, later) =
        site.ask(|store| Ok((store.tally()?, store.next_due()?.is_some(), store.tally()?))).await?;
    let after = site.ledger.counts(asked.app);
    let sums = Sums::of(&tally, asked.app);
    let earlier = Sums::of(site.ledger.at_start(), asked.app).kept();
    let inputs_balance = earlier + before.kept <= sums.kept()
        && sums.kept() + before.refused + before.repeated <= earlier + after.received;
    // Whether anything is pending is also known from the outbox itself, when nothing moved meanwhile.
    let still = asked.app.is_none() && Sums::of(&later, None) == sums;
    let pending = sums.created - sums.delivered - sums.dead - sums.withdrawn;
    let suppressed: i64 = sums.suppressed.values().sum();
    let postbacks_balance = pending >= 0
        && sums.due == sums.delivered + pending + sums.dead + suppressed
        && (!still || open == (pending > 0));
    Ok(Json(json!({
        "inputs": {
            "received": earlier + before.received - before.repeated,
            "accepted": sums.accepted,
            "refused": before.refused,
            "quarantined": sums.quarantined,
            "in_flight": before.in_flight(),
            "repeated": before.repeated,
            "redirected_unconfirmed": site.ledger.unconfirmed(),
            "by_kind": sums.by_kind,
        },
        "installs": sums.installs,
        "duplicates": sums.duplicates,
        "events_linked": sums.events_linked,
        "aggregates": { "counted": sums.aggregates, "repeated": sums.aggregates_repeated },
        "postbacks": {
            "due": sums.due, "delivered": sums.delivered, "pending": pending, "dead": sums.dead,
            "suppressed": sums.suppressed,
        },
        "balanced": inputs_balance && postbacks_balance,
    })))
}

/// The counters of one app, or of all, added up.
#[derive(Debug, Default, PartialEq)]
struct Sums {
    accepted: u64,
    quarantined: u64,
    by_kind: BTreeMap<String, u64>,
    installs: BTreeMap<String, i64>,
    duplicates: BTreeMap<String, i64>,
    events_linked: i64,
    aggregates: i64,
    aggregates_repeated: i64,
    due: i64,
    created: i64,
    delivered: i64,
    dead: i64,
    withdrawn: i64,
    suppressed: BTreeMap<String, i64>,
}

impl Sums {
    fn of(tally: &Tally, app: Option<AppId>) -> Self {
        let mut sums = Self::default();
        for ((owner, counter), &n) in tally {
            if app.is_some() && app != *owner {
                continue;
            }
            let count = u64::try_from(n).unwrap_or_default();
            match counter {
                Counter::Accepted(kind) => {
                    sums.accepted += count;
                    *sums.by_kind.entry(kind.clone()).or_default() += count;
                }
                Counter::Quarantined => sums.quarantined += count,
                Counter::Due => sums.due += n,
                Counter::Created => sums.created += n,
                Counter::Delivered => sums.delivered += n,
                Counter::Dead => sums.dead += n,
                Counter::Withdrawn => sums.withdrawn += n,
                Counter::Suppressed(reason) => *sums.suppressed.entry(reason.clone()).or_default() += n,
                Counter::Installs(class) => *sums.installs.entry(class.clone()).or_default() += n,
                Counter::Duplicates(kind) => *sums.duplicates.entry(kind.clone()).or_default() += n,
                Counter::EventsLinked => sums.events_linked += n,
                Counter::Aggregates(_) => sums.aggregates += n,
                Counter::AggregatesRepeated => sums.aggregates_repeated += n,
                Counter::OfTrigger(..) | Counter::TriggersCountedSince => {}
            }
        }
        sums.installs.retain(|_, n| *n != 0);
        sums
    }

    /// Elements on record or in quarantine.
    const fn kept(&self) -> u64 {
        self.accepted + self.quarantined
    }
}
