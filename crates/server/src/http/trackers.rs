//! Trackers, the owners of tracking links (management-and-reporting.md section 5).

mod destination;
pub mod links;
pub mod overrides;
mod reengagement;

use axum::{Json, extract::State, http::StatusCode};
use measure::{
    CampaignId, NetworkId, SegmentId, TrackerId,
    catalogue::{App, Catalogue, Entry, Tracker},
    policy::Windows,
};
use serde_json::{Value, json};
use wire::link::own_scheme;

use super::{
    apps,
    asked::{Path, Query},
    fields::{Fields, shown},
    fraud, next_id, rfc3339,
};
use crate::http::openapi::{Refusals, bodies::TrackerBody};
use crate::{auth::Caller, clock, error::Error, site::Site};

/// Where a click leads instead when the app is installed already.
const REENGAGED: &str = "destination_url_reengagement";
/// Where overrides are kept among the fields; not shown as one of them.
const OVERRIDES: &str = "sx_overrides";

/// Fields that the server fills.
const OWN: [&str; 14] = [
    "id",
    "app_id",
    "app_guid",
    "guid",
    "date_created",
    "deleted",
    "click_tracking_url",
    "imp_tracking_url",
    "network_name",
    "network_is_self_attributing",
    "network_supports_impressions",
    "campaign_name",
    "tier_name",
    OVERRIDES,
];

/// Fields that are numbers with a fraction in answers, however they were sent.
const FRACTIONS: [&str; 4] = ["network_price", "budget_daily", "budget_weekly", "budget_max"];

/// Fields that are booleans, and those that are texts, however they were sent.
const FLAGS: [&str; 2] = ["perm_publisher_allow_view", "is_active"];
const TEXTS: [&str; 7] = [
    "landing_page_id",
    "legacy_campaign_id",
    "legacy_post_id",
    "smart_link_id",
    "what_if_parent_tracker_id",
    "agency_tracker_id",
    "agency_network_id",
];

/// `GET /tracker/{app}?<field>=<value>`: those whose fields all equal what is asked for.
#[utoipa::path(
    get, path = "/tracker/{app}", tag = "management",
    params(("app" = u64, Path, description = "the number of the app"), ("network_id" = Option<String>, Query, description = "only of this network; every field of a tracker can be asked for so")),
    responses((status = 200, description = "the trackers of the app", body = Value), Refusals),
    operation_id = "trackers_list",
)]
pub async fn list(
    State(site): State<Site>,
    caller: Caller,
    Path(app): Path<String>,
    Query(filters): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let app = apps::find(&catalogue, &app)?;
    caller.may_read(app.id)?;
    let trackers = catalogue.trackers();
    let own = trackers.into_iter().filter(|tracker| !tracker.deleted && tracker.app == app.id);
    let mut rows: Vec<Value> = own.map(|tracker| object(&site, &catalogue, tracker)).collect();
    let shape = Fields::kept(SHAPE).into_value();
    for (field, wanted) in filters {
        if shape.get(&field).is_none() && !rows.iter().any(|row| row.get(&field).is_some()) {
            return Err(Error::BadRequest(format!("{field}: trackers have no such field to filter by")));
        }
        rows.retain(|row| row.get(&field).is_some_and(|value| text_of(value) == wanted));
    }
    Ok(Json(Value::Array(rows)))
}

/// `GET /tracker/{app}/{tracker}`
#[utoipa::path(
    get, path = "/tracker/{app}/{tracker}", tag = "management",
    params(("app" = u64, Path, description = "the number of the app"), ("tracker" = u64, Path, description = "the number of the tracker")),
    responses((status = 200, description = "the tracker", body = Value), Refusals),
    operation_id = "trackers_get",
)]
pub async fn get(
    State(site): State<Site>,
    caller: Caller,
    Path((app, tracker)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let app = apps::find(&catalogue, &app)?;
    caller.may_read(app.id)?;
    Ok(Json(object(&site, &catalogue, find_in(&catalogue, app, &tracker)?)))
}

/// `POST /tracker/{app}/create`
#[utoipa::path(
    post, path = "/tracker/{app}/create", tag = "management",
    params(("app" = u64, Path, description = "the number of the app")),
    request_body = TrackerBody,
    responses((status = 201, description = "the tracker, with its links", body = Value), Refusals),
    operation_id = "trackers_create",
)]
pub async fn create(
    State(site): State<Site>,
    caller: Caller,
    Path(app): Path<String>,
    mut fields: Fields,
) -> Result<(StatusCode, Json<Value>), Error> {
    let now = clock::now();
    let answer = site.catalogue.change(now, Some(caller.key()), |catalogue| {
        let app = apps::find(catalogue, &app)?;
        caller.may_write(app.id)?;
        let last = catalogue.trackers().last().map(|tracker| tracker.id.0);
        let mut tracker = Tracker {
            id: TrackerId(next_id(last, 1)),
            guid: format!("{}-{}", app.guid, clock::random_hex::<6>()),
            app: app.id,
            campaign: fields.required_id("campaign_id")?,
            segment: fields.required_id("tier_id")?,
            network: fields.required_id("network_id")?,
            name: fields.required_text("name")?,
            destination_url: fields.required_text("destination_url")?,
            destination: destination::kind(None),
            windows: Windows::default(),
            created: now,
            deleted: false,
            extra: String::new(),
            reengagement: None,
            omit_sub_os_version: false,
            verification: None,
        };
        let rules = fraud::of_tracker(catalogue, tracker.id, &fields, &site.vault)?;
        change(catalogue, app, &mut tracker, fields)?;
        let answer = object(&site, catalogue, &tracker);
        Ok::<_, Error>(([Entry::Tracker(tracker)].into_iter().chain(rules).collect(), answer))
    });
    Ok((StatusCode::CREATED, Json(answer.await?)))
}

/// `POST /tracker/{app}` with an `id`
#[utoipa::path(
    post, path = "/tracker/{app}", tag = "management",
    params(("app" = u64, Path, description = "the number of the app")),
    request_body = TrackerBody,
    responses((status = 200, description = "the tracker as it is now", body = Value), Refusals),
    operation_id = "trackers_update",
)]
pub async fn update(
    State(site): State<Site>,
    caller: Caller,
    Path(app): Path<String>,
    mut fields: Fields,
) -> Result<Json<Value>, Error> {
    let answer = site.catalogue.change(clock::now(), Some(caller.key()), |catalogue| {
        let app = apps::find(catalogue, &app)?;
        caller.may_write(app.id)?;
        let id: TrackerId = fields.required_id("id")?;
        let mut tracker = find_in(catalogue, app, &id.to_string())?.clone();
        fields.changed_text("name", &mut tracker.name)?;
        fields.changed_text("destination_url", &mut tracker.destination_url)?;
        if let Some(campaign) = fields.id::<CampaignId>("campaign_id")? {
            tracker.campaign = campaign;
        }
        if let Some(segment) = fields.id::<SegmentId>("tier_id")? {
            tracker.segment = segment;
        }
        if let Some(network) = fields.id::<NetworkId>("network_id")? {
            tracker.network = network;
        }
        fields.without(&["source"]);
        let rules = fraud::of_tracker(catalogue, tracker.id, &fields, &site.vault)?;
        change(catalogue, app, &mut tracker, fields)?;
        let answer = object(&site, catalogue, &tracker);
        Ok::<_, Error>(([Entry::Tracker(tracker)].into_iter().chain(rules).collect(), answer))
    });
    Ok(Json(answer.await?))
}

/// `DELETE /tracker/{app}/delete/{tracker}`: its link is unknown from now on; clicks it had may still win.
#[utoipa::path(
    delete, path = "/tracker/{app}/delete/{tracker}", tag = "management",
    params(("app" = u64, Path, description = "the number of the app"), ("tracker" = u64, Path, description = "the number of the tracker")),
    responses((status = 200, description = "the tracker as it was", body = Value), Refusals),
    operation_id = "trackers_delete",
)]
pub async fn delete(
    State(site): State<Site>,
    caller: Caller,
    Path((app, tracker)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    let answer = site.catalogue.change(clock::now(), Some(caller.key()), |catalogue| {
        let app = apps::find(catalogue, &app)?;
        caller.may_write(app.id)?;
        let mut tracker = find_in(catalogue, app, &tracker)?.clone();
        tracker.deleted = true;
        let answer = object(&site, catalogue, &tracker);
        Ok::<_, Error>((vec![Entry::Tracker(tracker)], answer))
    });
    Ok(Json(answer.await?))
}

fn find_in<'c>(catalogue: &'c Catalogue, app: &App, id: &str) -> Result<&'c Tracker, Error> {
    let tracker = id.parse().ok().and_then(|id| catalogue.tracker(id));
    let own = tracker.filter(|tracker| !tracker.deleted && tracker.app == app.id);
    own.map(AsRef::as_ref).ok_or(Error::NotFound("tracker"))
}

/// Takes in what create and update have in common and checks that everything fits together.
fn change(catalogue: &Catalogue, app: &App, tracker: &mut Tracker, mut fields: Fields) -> Result<(), Error> {
    let refuse = |text: &str| Err(Error::BadRequest(text.to_owned()));
    let campaign = catalogue.campaign(tracker.campaign).filter(|campaign| !campaign.deleted);
    if campaign.is_none_or(|campaign| campaign.app != app.id) {
        return refuse("campaign_id: the app has no such campaign");
    }
    let segment = catalogue.segment(tracker.segment).filter(|segment| !segment.deleted);
    if segment.is_none_or(|segment| segment.campaign != tracker.campaign) {
        return refuse("tier_id: the campaign has no such segment");
    }
    if catalogue.network(tracker.network).is_none_or(|network| network.deleted) {
        return refuse("network_id: there is no such network");
    }
    destination::check("destination_url", &tracker.destination_url, &app.schemes)?;
    if let Some(url) = fields.peek(REENGAGED).and_then(Value::as_str).filter(|url| !url.is_empty()) {
        // No click leads there, so its scheme need not be named by the app: clients of the incumbent do not.
        let own = url.split_once(':').and_then(|(scheme, _)| own_scheme(scheme).ok());
        destination::check(REENGAGED, url, own.as_slice())?;
    }
    fields.numbers(&FRACTIONS, false)?;
    fields.flags(&FLAGS)?;
    fields.texts(&TEXTS);
    fields.without(&OWN);
    let mut kept = Fields::kept(&tracker.extra);
    kept.merge(fields);
    tracker.reengagement = reengagement::of(&kept)?;
    if kept.peek("type").is_some_and(|kind| kind.is_null() || kind == "") {
        kept.without(&["type"]);
    }
    tracker.extra = kept.into_text();
    let data = Fields::kept(&tracker.extra).object("destination_data").ok().flatten();
    let kind = data.and_then(|mut data| data.text("type").ok().flatten());
    tracker.destination = destination::kind(kind.as_deref());
    Ok(())
}

/// The fields of a tracker with what they are when nobody set them.
const SHAPE: &str = r#"{ "id": "", "app_id": "", "app_guid": "", "guid": "", "name": "", "type": "acquisition",
"date_created": "", "source": "api", "campaign_id": "", "campaign_name": "", "tier_id": "",
"tier_name": "", "network_id": "", "network_name": "", "network_is_self_attributing": false,
"network_supports_impressions": true, "network_pricing": null, "network_price": 0.0,
"click_tracking_url": "", "imp_tracking_url": "", "destination_url": "",
"destination_url_reengagement": null, "destination_data": { "type": "", "typeObj": "" },
"click_url_custom_params": [], "events": [], "perm_publisher_allow_view": false, "is_active": true,
"budget_daily": 0.0, "budget_weekly": 0.0, "budget_max": 0.0, "meta": null,
"landing_page_id": null, "legacy_campaign_id": null, "legacy_post_id": null, "creative_ids": [],
"rtb_id": null, "rtb_definitions": null, "rtb_update_status": null, "rtb_update_response": null,
"rtb_update_pid": null, "s2s_destination": null, "postback_url": null, "verification_rules": null,
"smart_link_id": null, "what_if_parent_tracker_id": null, "agency_tracker_id": null,
"agency_network_id": null, "google_android_postback_url": null, "google_ios_postback_url": null,
"twttter_event_guid": null
}"#;

pub(super) fn object(site: &Site, catalogue: &Catalogue, tracker: &Tracker) -> Value {
    let base = site.public_url();
    let link = |path: &str| {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("campaign_id", &tracker.guid)
            .append_pair("network_id", &tracker.network.to_string())
            .finish();
        format!("{base}{path}?{query}")
    };
    let known = json!({
        "id": tracker.id.to_string(), "app_id": tracker.app.to_string(),
        "app_guid": catalogue.app(tracker.app).map(|app| app.guid.as_str()), "guid": tracker.guid,
        "name": tracker.name, "date_created": rfc3339(tracker.created),
        "campaign_id": tracker.campaign.to_string(),
        "campaign_name": catalogue.campaign(tracker.campaign).map(|campaign| campaign.name.as_str()),
        "tier_id": tracker.segment.to_string(),
        "tier_name": catalogue.segment(tracker.segment).map(|segment| segment.name.as_str()),
        "network_id": tracker.network.to_string(),
        "network_name": catalogue.network(tracker.network).map(|network| network.name.as_str()),
        "destination_url": tracker.destination_url, "click_tracking_url": link("/v1/cpi/click"),
        "imp_tracking_url": link("/track/impression"),
    });
    let mut kept = Fields::kept(&tracker.extra);
    kept.without(&[OVERRIDES]);
    shown(Fields::kept(SHAPE).into_value(), &kept.into_text(), known)
}

/// A field as a query writes it.
fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
