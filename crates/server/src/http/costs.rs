//! What ads cost: uploaded by people, told by links, summed (management-and-reporting.md section 8).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    Json,
    extract::{Request, State},
};
use measure::{
    AppId, CampaignId, Decimal, NetworkId, Timestamp,
    catalogue::{Catalogue, Entry},
    cost::{COST_ROWS_MAX, CostDay, CostRow, CostUpload, Costs, Day, Place, Sum, day},
    time::DAY_MS,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::{Store, StoreError};

use super::{apps, asked::Query, fields::Fields, openapi::Refusals, table};
use crate::{auth::Caller, clock, edge, error::Error, site::Site};

/// An upload has fewer bytes than this.
const UPLOAD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Days that one question covers.
const DAYS_MAX: i64 = 92;
/// Facts looked through for one answer.
const FACTS_MAX: usize = 2_000_000;
/// Facts read at once.
const STEP: usize = 2_000;
/// What sums can be split by.
const GROUPS: [&str; 4] = ["day", "app", "network", "campaign"];

/// How an upload is addressed.
#[derive(Debug, Deserialize)]
pub(super) struct UploadQuery {
    app: Option<String>,
}

/// `POST /api/costs?app=`: CSV or JSON lines; all of it or, when a line is wrong, nothing. What it says of an
/// app, network and day replaces what was said before.
#[utoipa::path(
    post, path = "/api/costs", tag = "management",
    params(("app" = Option<u64>, Query, description = "the number of the app")),
    request_body(content = String, content_type = "text/csv", description = "CSV or JSON lines with `date`, `network_id`, `cost` (docs/management.md)"),
    responses((status = 200, description = "how much was taken", body = Value), Refusals),
    operation_id = "costs_upload",
)]
pub(super) async fn upload(
    State(site): State<Site>,
    caller: Caller,
    Query(query): Query<UploadQuery>,
    request: Request,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let app = app_of(&catalogue, query.app.as_deref())?;
    caller.may_write(app)?;
    let body = edge::read_body(&site, request, UPLOAD_BYTES_MAX).await?;
    let text = std::str::from_utf8(&body)
        .map_err(|_| Error::BadRequest("the file must be CSV or JSON lines in UTF-8".to_owned()))?;
    let now = clock::now();
    let rows = table::read(text, &["date", "network_id", "cost"], |fields| row(&catalogue, now, fields));
    let rows = rows.map_err(|errors| Error::BadRequest(errors.join("; ")))?;
    let count = rows.len();
    let mut days: BTreeMap<(Day, NetworkId), CostDay> = BTreeMap::new();
    for (day, network, row) in rows {
        let fresh = || CostDay { app, day, network, uploaded: now, rows: Vec::new() };
        days.entry((day, network)).or_insert_with(fresh).rows.push(row);
    }
    if let Some(full) = days.values().find(|day| day.rows.len() > COST_ROWS_MAX) {
        let text =
            format!("{}: more than {COST_ROWS_MAX} rows of network {}", written(full.day), full.network);
        return Err(Error::BadRequest(text));
    }
    let dates: BTreeSet<Day> = days.keys().map(|(day, _)| *day).collect();
    let answer = json!({
        "status": "success", "rows": count, "days": dates.into_iter().map(written).collect::<Vec<_>>(),
    });
    let days: Vec<CostDay> = days.into_values().collect();
    record(&site, &caller, app, now, &days).await?;
    site.ask(move |store| store.put_costs(&days)).await?;
    Ok(Json(answer))
}

/// Notes an upload in the history of changes, before it is stored: none is stored without.
async fn record(
    site: &Site,
    caller: &Caller,
    app: AppId,
    now: Timestamp,
    days: &[CostDay],
) -> Result<(), Error> {
    let (from, to) = (days.iter().map(|day| day.day).min(), days.iter().map(|day| day.day).max());
    let (Some(from), Some(to)) = (from, to) else { return Ok(()) };
    let known = site.ask(move |store| store.costs(app, from, to)).await?;
    let upload = CostUpload::of(app, days, &known);
    let change =
        site.catalogue.change(now, Some(caller.key()), |_| Ok::<_, Error>((vec![Entry::Costs(upload)], ())));
    change.await
}

/// An upload before and after, as the audit log shows it.
pub(super) fn recorded(upload: &CostUpload) -> (Value, Value) {
    let shown = |(rows, amount): (u64, Decimal)| {
        json!({
            "app_id": upload.app, "from": written(upload.from), "to": written(upload.to),
            "network_ids": upload.networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "rows": rows, "uploaded": amount.normalize().to_string(),
        })
    };
    (shown(upload.before), shown(upload.after))
}

/// A row of an upload: its day, its network, and what it says.
fn row(
    catalogue: &Catalogue,
    now: Timestamp,
    mut fields: Fields,
) -> Result<(Day, NetworkId, CostRow), String> {
    let mut read = || -> Result<(Day, NetworkId, CostRow), Error> {
        let wrong = |text: &str| Error::BadRequest(text.to_owned());
        let date = fields.required_text("date")?;
        let parsed = date_of(&date).ok_or_else(|| wrong("date: must be a day such as 2025-10-09"))?;
        if parsed > day(now) + 1 {
            return Err(wrong("date: lies in the future"));
        }
        let network: NetworkId = fields.required_id("network_id")?;
        if catalogue.network(network).is_none() {
            return Err(Error::BadRequest(format!("network_id: there is no network {network}")));
        }
        let cost = fields.take("cost").ok_or_else(|| wrong("cost: is required"))?;
        let cost = match &cost {
            Value::String(text) => text.trim().parse().ok(),
            // As written: a binary float never stands between.
            Value::Number(number) => number.to_string().parse::<Decimal>().ok(),
            _ => None,
        };
        let limit = Decimal::from(1_000_000_000_u64);
        let amount = cost.filter(|cost| !cost.is_sign_negative() && *cost <= limit);
        let amount = amount.ok_or_else(|| wrong("cost: must be an amount in US dollars such as 12.34"))?;
        if fields.text("currency")?.is_some_and(|currency| !matches!(&*currency, "" | "USD" | "usd")) {
            return Err(wrong("currency: only USD is taken; amounts are not converted"));
        }
        let mut name = |key: &str| fields.text(key).map(|text| text.filter(|text| !text.is_empty()));
        let row = CostRow {
            partner_campaign_id: name("partner_campaign_id")?,
            partner_campaign_name: name("partner_campaign_name")?,
            creative_id: name("creative_id")?,
            amount,
        };
        Ok((parsed, network, row))
    };
    let row = read().map_err(|error| error.to_string())?;
    match fields.rest().next() {
        None => Ok(row),
        Some((name, _)) => Err(format!("{name}: there is no such column")),
    }
}

/// What is asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    app: Option<String>,
    from: Option<String>,
    to: Option<String>,
    group: Option<String>,
}

/// `GET /api/costs?app=&from=&to=&group=`: sums in US dollars, of links and of uploads apart.
#[utoipa::path(
    get, path = "/api/costs", tag = "management",
    params(("app" = Option<u64>, Query, description = "only of this app"), ("from" = Option<String>, Query, description = "the first day, UTC; a week before `to` unless given"), ("to" = Option<String>, Query, description = "the last day; today unless given"), ("group" = Option<String>, Query, description = "comma-separated: `day`, `app`, `network`, `campaign`; all of them unless given")),
    responses((status = 200, description = "sums, and the sum of all", body = Value), Refusals),
    operation_id = "costs_list",
)]
pub(super) async fn list(
    State(site): State<Site>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let only = asked.app.as_deref().map(|app| app_of(&catalogue, Some(app))).transpose()?;
    match only {
        Some(app) => caller.may_read(app)?,
        None => caller.may_read_account()?,
    }
    let (from, to) = days(&asked, clock::now())?;
    let groups = groups(asked.group.as_deref())?;
    let named = catalogue.clone();
    let sums = site.ask(move |store| sum(store, &named, only, from, to)).await?;
    let sums = sums.ok_or_else(|| {
        Error::BadRequest(format!(
            "from, to: more than {FACTS_MAX} inputs were received in these days; ask for fewer"
        ))
    })?;
    let mut grouped: BTreeMap<Vec<Option<i64>>, (Place, Sum)> = BTreeMap::new();
    let mut all = Sum::default();
    for (place, sum) in sums.into_iter().filter(|(place, _)| (from..=to).contains(&place.day)) {
        all += sum;
        let key = groups.iter().map(|group| number(group, &place)).collect();
        grouped.entry(key).or_insert((place, Sum::default())).1 += sum;
    }
    let data: Vec<Value> =
        grouped.into_values().map(|(place, sum)| shown(&catalogue, &groups, &place, sum)).collect();
    Ok(Json(json!({
        "from": written(from), "to": written(to), "currency": "USD", "data": data, "total": amounts(all),
    })))
}

fn app_of(catalogue: &Catalogue, app: Option<&str>) -> Result<AppId, Error> {
    let app = app.ok_or_else(|| Error::BadRequest("app: is required".to_owned()))?;
    apps::find(catalogue, app).map(|app| app.id)
}

fn days(asked: &Asked, now: Timestamp) -> Result<(Day, Day), Error> {
    let read = |name: &str, text: &Option<String>, default: Day| match text.as_deref() {
        None | Some("") => Ok(default),
        Some(text) => date_of(text)
            .ok_or_else(|| Error::BadRequest(format!("{name}: must be a day such as 2025-10-09"))),
    };
    let to = read("to", &asked.to, day(now))?;
    let from = read("from", &asked.from, to - 6)?;
    if from > to || to - from >= DAYS_MAX {
        return Err(Error::BadRequest(format!("from, to: must be 1 to {DAYS_MAX} days in order")));
    }
    Ok((from, to))
}

fn groups(asked: Option<&str>) -> Result<Vec<&'static str>, Error> {
    let Some(asked) = asked else { return Ok(GROUPS.to_vec()) };
    let mut groups = Vec::new();
    for name in asked.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let known = GROUPS.into_iter().find(|group| *group == name);
        let text = || Error::BadRequest(format!("group: must be of {}", GROUPS.join(", ")));
        groups.push(known.ok_or_else(text)?);
    }
    Ok(groups)
}

/// Sums of the facts received in these days and of the uploads about them; `None` when there are too many
/// facts. Facts come in the order of their receipt, so the first of a day is found by halving.
fn sum(
    store: &dyn Store,
    catalogue: &Arc<Catalogue>,
    only: Option<AppId>,
    from: Day,
    to: Day,
) -> Result<Option<BTreeMap<Place, Sum>>, StoreError> {
    let mut costs = Costs::default();
    let (begin, end) = (Timestamp(from.saturating_mul(DAY_MS)), Timestamp((to + 1).saturating_mul(DAY_MS)));
    let (mut next, mut read) = (first_since(store, begin)?, 0);
    'facts: loop {
        let facts = store.facts(next, STEP)?;
        let Some(last) = facts.last() else { break };
        next = last.sequence + 1;
        read += facts.len();
        if read > FACTS_MAX {
            return Ok(None);
        }
        for fact in &facts {
            // What was received at once may be committed in another order: a minute is far more than that.
            if fact.input.received.since(end) > 60_000 {
                break 'facts;
            }
            if only.is_none_or(|app| app == fact.input.app) {
                costs.take(fact);
            }
        }
    }
    let apps: Vec<AppId> =
        only.map_or_else(|| catalogue.apps().iter().map(|app| app.id).collect(), |app| vec![app]);
    let campaigns = catalogue.campaigns();
    for app in apps {
        for upload in store.costs(app, from, to)? {
            costs.add(&upload, |name| {
                campaigns.iter().find(|known| known.app == app && known.name == name).map(|known| known.id)
            });
        }
    }
    Ok(Some(costs.sums()))
}

/// The sequence of the first fact received at `time` or later.
fn first_since(store: &dyn Store, time: Timestamp) -> Result<u64, StoreError> {
    let (mut low, mut high) = (1, store.last_sequence()? + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match store.facts(middle, 1)?.first() {
            // Held inputs come a second time with their old receipts: they tell no time.
            Some(fact) if fact.input.received < time => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// What a place is called in a group.
fn number(group: &str, place: &Place) -> Option<i64> {
    let id = |id: u64| i64::try_from(id).ok();
    match group {
        "day" => Some(place.day),
        "app" => id(place.app.0),
        "network" => id(place.network.0),
        _ => place.campaign.and_then(|campaign| id(campaign.0)),
    }
}

fn shown(catalogue: &Catalogue, groups: &[&str], place: &Place, sum: Sum) -> Value {
    let mut row = Map::new();
    let name = |id: CampaignId| catalogue.campaign(id).map(|campaign| campaign.name.clone());
    for group in groups {
        match *group {
            "day" => {
                row.insert("day".to_owned(), written(place.day).into());
            }
            "app" => {
                row.insert("app_id".to_owned(), json!(place.app));
            }
            "network" => {
                row.insert("network_id".to_owned(), place.network.to_string().into());
            }
            _ => {
                let campaign = place.campaign.map(|campaign| campaign.to_string());
                row.insert("campaign_id".to_owned(), campaign.into());
                row.insert("campaign_name".to_owned(), place.campaign.and_then(name).into());
            }
        }
    }
    if let Value::Object(amounts) = amounts(sum) {
        row.extend(amounts);
    }
    Value::Object(row)
}

/// Amounts as texts: no client reads a decimal from a JSON number without loss.
fn amounts(sum: Sum) -> Value {
    let text = |amount: Decimal| amount.normalize().to_string();
    json!({
        "links": text(sum.links), "uploaded": text(sum.uploaded),
        "cost": text(sum.links.saturating_add(sum.uploaded)),
    })
}

fn date_of(text: &str) -> Option<Day> {
    let date: jiff::civil::Date = text.trim().parse().ok()?;
    let epoch = jiff::civil::date(1970, 1, 1);
    Some(i64::from((date - epoch).get_days()))
}

fn written(day: Day) -> String {
    jiff::Timestamp::from_millisecond(day.saturating_mul(DAY_MS))
        .map(|time| time.to_string().chars().take(10).collect())
        .unwrap_or_default()
}
