//! Campaigns (management-and-reporting.md section 3).

use axum::{Json, extract::State, http::StatusCode};
use measure::{
    CampaignId,
    catalogue::{App, Campaign, Catalogue, Entry},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    apps,
    asked::{Path, Query},
    fields::{Fields, shown},
    next_id,
};
use crate::http::openapi::{Refusals, bodies::CampaignBody};
use crate::{auth::Caller, clock, error::Error, site::Site};

/// Fields that the server fills, and those that never change.
const OWN: [&str; 6] = ["id", "app_id", "date_created", "deleted", "number_of_trackers", "number_of_tiers"];

/// Fields that are whole numbers in answers, however they were sent.
const WHOLE: [&str; 7] = [
    "budget_daily",
    "budget_weekly",
    "budget_max",
    "target_clicks",
    "target_installs",
    "date_start",
    "date_end",
];

/// Fields that are texts in answers, however they were sent.
const TEXTS: [&str; 4] = ["meta", "legacy_io_guid", "smart_link_id", "what_if_parent_campaign_id"];

/// How the list is asked for.
#[derive(Debug, Deserialize)]
pub struct ListQuery {
    stats: Option<String>,
}

/// `GET /campaign/{app}`
#[utoipa::path(
    get, path = "/campaign/{app}", tag = "management",
    params(("app" = u64, Path, description = "the number of the app"), ("stats" = Option<bool>, Query, description = "`true`: with the numbers of trackers and segments")),
    responses((status = 200, description = "the campaigns of the app", body = Value), Refusals),
    operation_id = "campaigns_list",
)]
pub async fn list(
    State(site): State<Site>,
    caller: Caller,
    Path(app): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let app = apps::find(&catalogue, &app)?;
    caller.may_read(app.id)?;
    let stats = query.stats.as_deref() == Some("true");
    let campaigns = catalogue.campaigns();
    let own = campaigns.into_iter().filter(|campaign| !campaign.deleted && campaign.app == app.id);
    Ok(Json(own.map(|campaign| object(campaign, stats.then_some(&*catalogue))).collect()))
}

/// `GET /campaign/{app}/{campaign}`; `HEAD` says whether it exists.
#[utoipa::path(
    get, path = "/campaign/{app}/{campaign}", tag = "management",
    params(("app" = u64, Path, description = "the number of the app"), ("campaign" = u64, Path, description = "the number of the campaign")),
    responses((status = 200, description = "the campaign", body = Value), Refusals),
    operation_id = "campaigns_get",
)]
pub async fn get(
    State(site): State<Site>,
    caller: Caller,
    Path((app, campaign)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let app = apps::find(&catalogue, &app)?;
    caller.may_read(app.id)?;
    Ok(Json(object(find_in(&catalogue, app, &campaign)?, None)))
}

/// `POST /campaign/{app}`: creates, or with an `id` changes.
#[utoipa::path(
    post, path = "/campaign/{app}", tag = "management",
    params(("app" = u64, Path, description = "the number of the app")),
    request_body = CampaignBody,
    responses((status = 200, description = "the campaign as it is now", body = Value), (status = 201, description = "the campaign", body = Value), Refusals),
    operation_id = "campaigns_save",
)]
pub async fn save(
    State(site): State<Site>,
    caller: Caller,
    Path(app): Path<String>,
    mut fields: Fields,
) -> Result<(StatusCode, Json<Value>), Error> {
    let now = clock::now();
    let answer = site.catalogue.change(now, Some(caller.key()), |catalogue| {
        let app = apps::find(catalogue, &app)?;
        caller.may_write(app.id)?;
        let (status, mut campaign) = match fields.id::<CampaignId>("id")? {
            Some(id) => {
                let mut campaign = find_in(catalogue, app, &id.to_string())?.clone();
                fields.changed_text("name", &mut campaign.name)?;
                fields.without(&["source"]);
                (StatusCode::OK, campaign)
            }
            None => {
                let last = catalogue.campaigns().last().map(|campaign| campaign.id.0);
                let campaign = Campaign {
                    id: CampaignId(next_id(last, 1)),
                    app: app.id,
                    name: fields.required_text("name")?,
                    created: now,
                    deleted: false,
                    extra: String::new(),
                };
                (StatusCode::CREATED, campaign)
            }
        };
        fields.numbers(&WHOLE, true)?;
        fields.flags(&["date_track_outside_range"])?;
        fields.texts(&TEXTS);
        fields.without(&OWN);
        let mut kept = Fields::kept(&campaign.extra);
        kept.merge(fields);
        campaign.extra = kept.into_text();
        let answer = object(&campaign, None);
        Ok::<_, Error>((vec![Entry::Campaign(campaign)], (status, Json(answer))))
    });
    answer.await
}

/// `DELETE /campaign/{app}/delete/{campaign}`: refused while trackers use it.
#[utoipa::path(
    delete, path = "/campaign/{app}/delete/{campaign}", tag = "management",
    params(("app" = u64, Path, description = "the number of the app"), ("campaign" = u64, Path, description = "the number of the campaign")),
    responses((status = 200, description = "the campaign as it was", body = Value), Refusals),
    operation_id = "campaigns_delete",
)]
pub async fn delete(
    State(site): State<Site>,
    caller: Caller,
    Path((app, campaign)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    let answer = site.catalogue.change(clock::now(), Some(caller.key()), |catalogue| {
        let app = apps::find(catalogue, &app)?;
        caller.may_write(app.id)?;
        let mut campaign = find_in(catalogue, app, &campaign)?.clone();
        let mut live = catalogue.trackers().into_iter().filter(|tracker| !tracker.deleted);
        if live.any(|tracker| tracker.campaign == campaign.id) {
            return Err(Error::Conflict("the campaign has trackers; delete them first".to_owned()));
        }
        campaign.deleted = true;
        let answer = object(&campaign, None);
        Ok((vec![Entry::Campaign(campaign)], answer))
    });
    Ok(Json(answer.await?))
}

/// The campaign of a number in a path; 404 when it is unknown, deleted or its app is.
pub fn find<'c>(catalogue: &'c Catalogue, id: &str) -> Result<&'c Campaign, Error> {
    let campaign = id.parse().ok().and_then(|id| catalogue.campaign(id));
    let lives = |campaign: &&std::sync::Arc<Campaign>| {
        !campaign.deleted && catalogue.app(campaign.app).is_some_and(|app| !app.deleted)
    };
    campaign.filter(lives).map(AsRef::as_ref).ok_or(Error::NotFound("campaign"))
}

fn find_in<'c>(catalogue: &'c Catalogue, app: &App, id: &str) -> Result<&'c Campaign, Error> {
    find(catalogue, id).ok().filter(|campaign| campaign.app == app.id).ok_or(Error::NotFound("campaign"))
}

/// A campaign as it is shown, with counts when a catalogue to count in is given.
pub(super) fn object(campaign: &Campaign, counted: Option<&Catalogue>) -> Value {
    let shape = json!({
        "id": "", "app_id": "", "type": "type_url_forward", "source": "api", "name": "",
        "destination_url": "", "date_created": 0, "date_start": null, "date_end": null,
        "date_track_outside_range": false, "budget_daily": 0, "budget_weekly": 0, "budget_max": 0,
        "target_clicks": 0, "target_installs": 0, "meta": null, "legacy_io_guid": null,
        "smart_link_id": null, "what_if_parent_campaign_id": null,
    });
    let mut known = json!({
        "id": campaign.id.to_string(), "app_id": campaign.app.to_string(), "name": campaign.name,
        "date_created": campaign.created.seconds(),
    });
    if let (Some(catalogue), Some(fields)) = (counted, known.as_object_mut()) {
        let trackers = catalogue.trackers();
        let trackers = trackers.iter().filter(|own| !own.deleted && own.campaign == campaign.id);
        let segments = catalogue.segments();
        let segments = segments.iter().filter(|own| !own.deleted && own.campaign == campaign.id);
        fields.insert("number_of_trackers".to_owned(), json!(trackers.count()));
        fields.insert("number_of_tiers".to_owned(), json!(segments.count()));
    }
    shown(shape, &campaign.extra, known)
}
