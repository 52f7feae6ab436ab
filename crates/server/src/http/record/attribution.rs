//! `GET /v1/apps/{guid}/attribution/{device or install}` (DECISIONS 28,
//! management-and-reporting.md section 10).

use axum::{Json, extract::State};
use measure::{
    AppId, DeviceId, InstallId, Timestamp,
    attribution::{Basis, Candidate, Decision, explain},
    catalogue::Catalogue,
    device::Device,
    identifier::JoinKey,
    install::{InstallRecord, SearchAds},
    policy::Window,
    referrer::Reported,
};
use serde_json::{Value, json};
use store::{Store, StoreError};

use super::super::asked::Path;
use super::{iso, plain};
use crate::http::openapi::Refusals;
use crate::{auth::Caller, error::Error, http::fraud, site::Site};

#[utoipa::path(
    get, path = "/v1/apps/{guid}/attribution/{device}", tag = "record",
    params(("guid" = String, Path, description = "the GUID of the app"), ("device" = String, Path, description = "`kochava_device_id`, or the id of the install")),
    responses((status = 200, description = "where the install came from, and the whole decision", body = Value), Refusals),
    operation_id = "attribution_of_device",
)]
pub(in crate::http) async fn of_device(
    State(site): State<Site>,
    caller: Caller,
    Path((guid, device)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let app = catalogue.app_by_guid(&guid).ok_or(Error::NotFound("app"))?;
    caller.may_read(app.id)?;
    let app = app.id;
    let asked = device.clone();
    let found = site
        .ask(move |store| {
            let by_device = store.device(app, &JoinKey::kochava(&asked))?;
            let id = by_device.map(|device| device.install).or_else(|| asked.parse::<InstallId>().ok());
            let Some(asked) = id.map(|id| Decided::find(store, app, id)).transpose()?.flatten() else {
                return Ok(None);
            };
            let first = match asked.record.reprocess_for {
                Some(first) => Decided::find(store, app, first)?,
                None => None,
            };
            // The first install has the answer, whatever came of later ones.
            Ok(Some(match first {
                Some(first) => (first, Some(asked)),
                None => (asked, None),
            }))
        })
        .await?;
    let (Decided { record, decision, device, .. }, again) = found.ok_or(NO_INSTALL)?;
    let reprocessed = again.as_ref().map(|again| {
        json!({
            "install_id": again.record.id.to_string(),
            "reprocess_for": record.id.to_string(),
            "decision": in_full(&catalogue, &again.record, &again.decision),
        })
    });
    let of = again.as_ref().map_or(&device, |again| &again.device);
    let kochava_id = of.as_ref().and_then(|device| device.kochava_ids.first()).cloned();
    Ok(Json(json!({
        "success": 1,
        "action": "get_attribution",
        "data": {
            "kochava_device_id": kochava_id.or(record.install.origin.kochava_device_id.clone()).unwrap_or_default(),
            "retry": -1,
            "attribution": incumbent(&catalogue, &record, &decision, device.as_ref()),
            "install_id": record.id.to_string(),
        },
        "decision": in_full(&catalogue, &record, &decision),
        "reprocessed": reprocessed,
    })))
}

/// The answer about a device that has no install.
pub(super) const NO_INSTALL: Error = Error::NotFound("install: no install of this device is on record");

/// An install with the decision on it.
pub(in crate::http) struct Decided {
    pub record: InstallRecord,
    /// The revision in force.
    pub decision: Decision,
    /// Those before it, oldest first.
    pub earlier: Vec<Decision>,
    /// The device, which holds the source in full.
    pub device: Option<Device>,
}

impl Decided {
    /// What is on record of an install.
    pub fn find(store: &dyn Store, app: AppId, install: InstallId) -> Result<Option<Self>, StoreError> {
        let Some((record, mut earlier)) = store.install(app, install)? else { return Ok(None) };
        let Some(decision) = earlier.pop() else { return Ok(None) };
        // Devices come in order: its own comes right after the identifier before it.
        let before = DeviceId(uuid::Uuid::from_u128(record.device.0.as_u128().wrapping_sub(1)));
        let next = store.devices(app, Some(before), 1)?.pop();
        let device = next.filter(|device| device.id == record.device);
        Ok(Some(Self { record, decision, earlier, device }))
    }
}

/// The part that clients of the incumbent know; `false` when organic.
fn incumbent(
    catalogue: &Catalogue,
    record: &InstallRecord,
    decision: &Decision,
    device: Option<&Device>,
) -> Value {
    let Some(winner) = decision.winner() else { return json!(false) };
    let source = device.and_then(|device| device.source.as_ref());
    let names = Names::of(catalogue, winner);
    let tracker = winner.tracker.and_then(|id| catalogue.tracker(id));
    let site = source.and_then(|source| source.site_id.clone()).unwrap_or_default();
    let apple = record.install.search_ads.as_ref().filter(|_| winner.basis == Basis::AppleSearchAds);
    // A claim without a tracker of ours has the network's own names.
    let claimed = |key: &str| {
        let source =
            source.filter(|_| matches!(winner.basis, Basis::Claim { .. }) && winner.tracker.is_none())?;
        source.params.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    };
    let campaign_id = apple.and_then(|ads| ads.campaign_id.clone()).or_else(|| claimed("campaign_id"));
    let campaign_name = apple.and_then(|ads| ads.campaign_name.clone()).or_else(|| claimed("campaign_name"));
    json!({
        "attribution_action": "install",
        "attribution_module": "sextant",
        "attribution_prompt": winner.kind.name(),
        "is_first_install": true,
        "agency_network_id": "0",
        "campaign": campaign_name.unwrap_or(names.campaign),
        "campaign_id": campaign_id.or_else(|| tracker.map(|tracker| tracker.guid.clone())).unwrap_or_default(),
        "segment": names.segment,
        "tracker": names.tracker,
        "tracker_id": winner.tracker.map(|id| id.to_string()).unwrap_or_default(),
        "network": names.network,
        "network_id": winner.network.to_string(),
        "network_key": "",
        "site": site,
        "site_id": site,
        "date": plain(record.install.time),
        "click": {
            "id": winner.touch.map(|touch| touch.to_string()).unwrap_or_default(),
            "date": plain(winner.time),
            "deeplink": "",
            "meta": {
                "adid": device.and_then(|device| device.identifier("adid")).unwrap_or_default(),
                "control_server": "",
                "original_request": source.map(|source| source.query.clone()).unwrap_or_default(),
            },
        },
    })
}

/// The decision with every candidate, as data and in plain sentences.
pub(super) fn in_full(catalogue: &Catalogue, record: &InstallRecord, decision: &Decision) -> Value {
    json!({
        "winner": decision.winner().map(|winner| candidate(catalogue, winner)),
        "class": decision.class(),
        "ambiguous": decision.ambiguous,
        "revision": decision.revision,
        "flags": decision.flags.iter().map(|flag| flag.name()).collect::<Vec<_>>(),
        "candidates": decision.candidates.iter().map(|one| candidate(catalogue, one)).collect::<Vec<_>>(),
        "more": decision.more,
        "apple_search_ads": record.install.search_ads.as_deref().map(search_ads),
        "reported_source": decision.reported.as_ref().map(|reported| reported_source(catalogue, reported)),
        "install_time": iso(record.install.time),
        "install_flags": record.flags.iter().map(|flag| flag.name()).collect::<Vec<_>>(),
        "os": record.install.origin.traits.os_text(),
        "decided": iso(decision.decided),
        "settings_version": decision.catalogue,
        "explanation": explain(decision, catalogue),
    })
}

/// The source that the install referrer names, with the names behind the numbers.
fn reported_source(catalogue: &Catalogue, reported: &Reported) -> Value {
    let network = reported.network.and_then(|id| catalogue.network(id));
    let tracker = reported.tracker.and_then(|id| catalogue.tracker(id));
    json!({
        "name": reported.name,
        "paid": reported.paid,
        "medium": reported.medium,
        "campaign": reported.campaign,
        "encrypted": reported.encrypted,
        "network_id": reported.network.map(|id| id.to_string()),
        "network": network.map(|network| network.name.as_str()),
        "tracker_id": reported.tracker.map(|id| id.to_string()),
        "tracker": tracker.map(|tracker| tracker.name.as_str()),
    })
}

/// What Apple says, in Apple's own names.
fn search_ads(ads: &SearchAds) -> Value {
    json!({
        "campaignId": ads.campaign_id,
        "campaignName": ads.campaign_name,
        "adGroupId": ads.ad_group_id,
        "keywordId": ads.keyword_id,
        "keyword": ads.keyword,
        "creativeSetId": ads.creative_set_id,
        "conversionType": ads.conversion_type,
        "countryOrRegion": ads.country,
        "claimType": if ads.viewed { "Impression" } else { "Click" },
        "clickDate": ads.click_time.filter(|_| !ads.viewed).map(iso),
        "impressionDate": ads.click_time.filter(|_| ads.viewed).map(iso),
    })
}

/// The names behind the numbers of a candidate.
struct Names {
    network: String,
    campaign: String,
    segment: String,
    tracker: String,
}

impl Names {
    fn of(catalogue: &Catalogue, candidate: &Candidate) -> Self {
        let campaign = candidate.campaign.and_then(|id| catalogue.campaign(id));
        let segment = candidate.segment.and_then(|id| catalogue.segment(id));
        let tracker = candidate.tracker.and_then(|id| catalogue.tracker(id));
        Self {
            network: catalogue
                .network(candidate.network)
                .map(|network| network.name.clone())
                .unwrap_or_default(),
            campaign: campaign.map(|campaign| campaign.name.clone()).unwrap_or_default(),
            segment: segment.map(|segment| segment.name.clone()).unwrap_or_default(),
            tracker: tracker.map(|tracker| tracker.name.clone()).unwrap_or_default(),
        }
    }
}

pub(super) fn candidate(catalogue: &Catalogue, candidate: &Candidate) -> Value {
    let names = Names::of(catalogue, candidate);
    let (identifier, form) = match &candidate.basis {
        Basis::Identifier { kind, form } | Basis::Claim { kind, form } => (Some(kind.clone()), form.clone()),
        _ => (None, None),
    };
    json!({
        "click_id": candidate.touch.map(|touch| touch.to_string()),
        "kind": candidate.kind.name(),
        "class": candidate.basis.class(),
        "identifier": identifier,
        "hash_form": form,
        "rank": candidate.rank,
        "network_id": candidate.network.to_string(),
        "network": names.network,
        "campaign": names.campaign,
        "segment": names.segment,
        "tracker_id": candidate.tracker.map(|id| id.to_string()),
        "tracker": names.tracker,
        "time": iso(candidate.time),
        "age_seconds": seconds(candidate.age_ms),
        "window_seconds": match candidate.window {
            Window::Disabled => Value::Null,
            Window::Seconds(seconds) => seconds.into(),
        },
        "window_from": candidate.window_from.name(),
        "flags": candidate.flags.iter().map(|flag| flag.name()).collect::<Vec<_>>(),
        "lost": candidate.lost.map(measure::attribution::LosingReason::name),
        "fraud": candidate.fraud.iter().map(fraud::finding).collect::<Vec<_>>(),
    })
}

pub(super) fn seconds(ms: i64) -> i64 {
    Timestamp(ms).seconds()
}
