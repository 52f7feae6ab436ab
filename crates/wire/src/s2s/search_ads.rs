//! Apple Search Ads in both forms (ingest.md section 10). When both came, the old one counts.

use std::borrow::Cow;

use measure::{
    flag::{Flag, Flags},
    install::SearchAds,
};

use super::envelope::Envelope;
use crate::{
    json::{Json, Object, get},
    moment,
    refusal::Refusal,
};

/// The old form, Apple's dictionary of the iAd framework.
const IAD: &str = "iad_attribution_details";
/// The form of AdServices.
const AD_SERVICES: &str = "adservices_attribution_details";

/// Apple's word that the install came from a Search Ads click; `None` when it said otherwise or nothing. Something
/// that is not Apple's word at all is flagged.
pub fn read(envelope: &Envelope<'_>, flags: &mut Flags) -> Option<SearchAds> {
    let (old, new) = (details(envelope, IAD), details(envelope, AD_SERVICES));
    let is_odd = |key, found: &Option<_>| found.is_none() && envelope.field(key).is_some();
    if is_odd(IAD, &old) || is_odd(AD_SERVICES, &new) {
        flags.insert(Flag::SearchAdsInvalid);
    }
    old.and_then(|details| iad(&details)).or_else(|| new.and_then(|details| ad_services_result(&details)))
}

/// What stands under a key: an object, or the text of one, as senders write it whose own fields are all texts.
fn details<'e>(envelope: &Envelope<'e>, key: &str) -> Option<Cow<'e, Object>> {
    match envelope.field(key)? {
        Json::Object(details) => Some(Cow::Borrowed(details)),
        Json::Text(text) => match Json::parse(text).ok()? {
            Json::Object(details) => Some(Cow::Owned(details)),
            _ => None,
        },
        _ => None,
    }
}

fn text(object: &Object, keys: &[&str]) -> Option<String> {
    let value = keys.iter().find_map(|key| get(object, key).filter(|value| !value.is_blank()))?;
    value.scalar().map(|text| text.trim().to_owned())
}

fn iad(details: &Object) -> Option<SearchAds> {
    let version = get(details, "Version3.1").and_then(Json::object)?;
    if !get(version, "iad-attribution").or_else(|| get(version, "attribution"))?.truth()? {
        return None;
    }
    // Apple's own dictionary has the prefix on every key; some senders strip it.
    let text = |key: &str| text(version, &[key, key.trim_start_matches("iad-")]);
    Some(SearchAds {
        click_time: moment::usable(text("iad-click-date").as_deref()),
        campaign_id: text("iad-campaign-id"),
        campaign_name: text("iad-campaign-name"),
        ad_group_id: text("iad-adgroup-id"),
        keyword_id: text("iad-keyword-id"),
        keyword: text("iad-keyword"),
        creative_set_id: text("iad-creativeset-id"),
        conversion_type: text("iad-conversion-type"),
        country: text("iad-country-or-region"),
        viewed: false,
    })
}

/// What Apple answers about an AdServices token: the same fields that a sender passes on; `None` when the
/// install did not come from Search Ads.
///
/// # Errors
/// 400 when it is not an answer of that form.
pub fn adservices_answer(text: &str) -> Result<Option<SearchAds>, Refusal> {
    let json = Json::parse(text).ok();
    let result = json.as_ref().and_then(Json::object);
    let result = result.filter(|result| get(result, "attribution").and_then(Json::truth).is_some());
    let result = result.ok_or_else(|| Refusal::bad_request("not an answer about an AdServices token"))?;
    Ok(ad_services_result(result))
}

fn ad_services_result(result: &Object) -> Option<SearchAds> {
    if !get(result, "attribution")?.truth()? {
        return None;
    }
    let text = |keys: &[&str]| text(result, keys);
    // Since 2025 Apple also claims installs of people who only saw the ad.
    let viewed = text(&["claimType"]).is_some_and(|kind| kind.eq_ignore_ascii_case("impression"));
    let date = if viewed { "impressionDate" } else { "clickDate" };
    Some(SearchAds {
        click_time: moment::usable(text(&[date]).as_deref()),
        campaign_id: text(&["campaignId"]),
        campaign_name: None,
        ad_group_id: text(&["adGroupId"]),
        keyword_id: text(&["keywordId", "keywordID"]),
        keyword: None,
        creative_set_id: text(&["creativeSetId"]),
        conversion_type: text(&["conversionType"]),
        country: text(&["countryOrRegion"]),
        viewed,
    })
}
