//! Segments, `tier` on the wire (management-and-reporting.md section 4).

use axum::{Json, extract::State, http::StatusCode};
use measure::{
    SegmentId,
    catalogue::{Campaign, Catalogue, Entry, Segment},
};
use serde_json::{Value, json};

use super::{
    asked::Path,
    campaigns,
    fields::{Fields, shown},
    next_id,
};
use crate::http::openapi::{Refusals, bodies::SegmentBody};
use crate::{auth::Caller, clock, error::Error, site::Site};

/// Fields that the server fills.
const OWN: [&str; 5] = ["id", "app_id", "campaign_id", "date_created", "deleted"];

/// `GET /tier/{campaign}`
#[utoipa::path(
    get, path = "/tier/{campaign}", tag = "management",
    params(("campaign" = u64, Path, description = "the number of the campaign")),
    responses((status = 200, description = "the segments of the campaign", body = Value), Refusals),
    operation_id = "tiers_list",
)]
pub async fn list(
    State(site): State<Site>,
    caller: Caller,
    Path(campaign): Path<String>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let campaign = campaigns::find(&catalogue, &campaign)?;
    caller.may_read(campaign.app)?;
    let segments = catalogue.segments();
    let own = segments.into_iter().filter(|segment| !segment.deleted && segment.campaign == campaign.id);
    Ok(Json(own.map(|segment| object(segment)).collect()))
}

/// `GET /tier/{campaign}/{segment}`
#[utoipa::path(
    get, path = "/tier/{campaign}/{segment}", tag = "management",
    params(("campaign" = u64, Path, description = "the number of the campaign"), ("segment" = u64, Path, description = "the number of the segment")),
    responses((status = 200, description = "the segment", body = Value), Refusals),
    operation_id = "tiers_get",
)]
pub async fn get(
    State(site): State<Site>,
    caller: Caller,
    Path((campaign, segment)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let campaign = campaigns::find(&catalogue, &campaign)?;
    caller.may_read(campaign.app)?;
    Ok(Json(object(find_in(&catalogue, campaign, &segment)?)))
}

/// `POST /tier/{campaign}`: creates, or with an `id` changes.
#[utoipa::path(
    post, path = "/tier/{campaign}", tag = "management",
    params(("campaign" = u64, Path, description = "the number of the campaign")),
    request_body = SegmentBody,
    responses((status = 200, description = "the segment as it is now", body = Value), (status = 201, description = "the segment", body = Value), Refusals),
    operation_id = "tiers_save",
)]
pub async fn save(
    State(site): State<Site>,
    caller: Caller,
    Path(campaign): Path<String>,
    mut fields: Fields,
) -> Result<(StatusCode, Json<Value>), Error> {
    let now = clock::now();
    let answer = site.catalogue.change(now, Some(caller.key()), |catalogue| {
        let campaign = campaigns::find(catalogue, &campaign)?;
        caller.may_write(campaign.app)?;
        let (status, mut segment) = match fields.id::<SegmentId>("id")? {
            Some(id) => {
                let mut segment = find_in(catalogue, campaign, &id.to_string())?.clone();
                fields.changed_text("name", &mut segment.name)?;
                (StatusCode::OK, segment)
            }
            None => {
                let last = catalogue.segments().last().map(|segment| segment.id.0);
                let segment = Segment {
                    id: SegmentId(next_id(last, 1)),
                    app: campaign.app,
                    campaign: campaign.id,
                    name: fields.required_text("name")?,
                    created: now,
                    deleted: false,
                    extra: String::new(),
                };
                (StatusCode::CREATED, segment)
            }
        };
        fields.texts(&["what_if_parent_tier_id"]);
        fields.without(&OWN);
        let mut kept = Fields::kept(&segment.extra);
        kept.merge(fields);
        segment.extra = kept.into_text();
        let answer = object(&segment);
        Ok::<_, Error>((vec![Entry::Segment(segment)], (status, Json(answer))))
    });
    answer.await
}

/// `DELETE /tier/{campaign}/delete/{segment}`: refused while trackers use it.
#[utoipa::path(
    delete, path = "/tier/{campaign}/delete/{segment}", tag = "management",
    params(("campaign" = u64, Path, description = "the number of the campaign"), ("segment" = u64, Path, description = "the number of the segment")),
    responses((status = 200, description = "the segment as it was", body = Value), Refusals),
    operation_id = "tiers_delete",
)]
pub async fn delete(
    State(site): State<Site>,
    caller: Caller,
    Path((campaign, segment)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    let answer = site.catalogue.change(clock::now(), Some(caller.key()), |catalogue| {
        let campaign = campaigns::find(catalogue, &campaign)?;
        caller.may_write(campaign.app)?;
        let mut segment = find_in(catalogue, campaign, &segment)?.clone();
        let mut live = catalogue.trackers().into_iter().filter(|tracker| !tracker.deleted);
        if live.any(|tracker| tracker.segment == segment.id) {
            return Err(Error::Conflict("the segment has trackers; delete them first".to_owned()));
        }
        segment.deleted = true;
        let answer = object(&segment);
        Ok((vec![Entry::Segment(segment)], answer))
    });
    Ok(Json(answer.await?))
}

fn find_in<'c>(catalogue: &'c Catalogue, campaign: &Campaign, id: &str) -> Result<&'c Segment, Error> {
    let segment = id.parse().ok().and_then(|id| catalogue.segment(id));
    let own = segment.filter(|segment| !segment.deleted && segment.campaign == campaign.id);
    own.map(AsRef::as_ref).ok_or(Error::NotFound("segment"))
}

pub(super) fn object(segment: &Segment) -> Value {
    let shape = json!({
        "id": "", "app_id": "", "campaign_id": "", "source": "api", "name": "", "target_geo": null,
        "date_created": 0, "what_if_parent_tier_id": null,
    });
    let known = json!({
        "id": segment.id.to_string(), "app_id": segment.app.to_string(),
        "campaign_id": segment.campaign.to_string(), "name": segment.name,
        "date_created": segment.created.seconds(),
    });
    shown(shape, &segment.extra, known)
}
