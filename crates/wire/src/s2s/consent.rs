//! Consent as sent (ingest.md sections 8 and 9, and `device_limit_tracking` of section 2).

use measure::consent::{Att, Consent};

use super::envelope::Envelope;
use crate::json::{Json, decimal};

/// The consent that an envelope carries.
pub fn read(envelope: &Envelope<'_>) -> Consent {
    let gdpr = |key: &str| envelope.inner("gdpr_privacy_consent", key);
    Consent {
        att: att(envelope),
        gdpr_applies: gdpr("gdpr_applies").and_then(Json::truth),
        tc_string: gdpr("tc_string").and_then(Json::scalar).map(str::to_owned),
        ad_user_data: gdpr("ad_user_data").and_then(Json::truth),
        ad_personalization: gdpr("ad_personalization").and_then(Json::truth),
        limit_tracking: envelope.field("device_limit_tracking").and_then(Json::truth),
    }
}

/// The object `app_tracking_transparency`, else loose `att*` keys.
fn att(envelope: &Envelope<'_>) -> Att {
    const OBJECT: &str = "app_tracking_transparency";
    let part = |key: &str| envelope.inner(OBJECT, key).or_else(|| envelope.field(key));
    Att {
        // One sender's whole object may be just the flag.
        flag: part("att").and_then(Json::truth).or_else(|| envelope.field(OBJECT).and_then(Json::truth)),
        time: part("att_time").and_then(Json::scalar).and_then(whole),
        duration: part("att_duration").and_then(Json::scalar).and_then(whole),
        detail: part("att_detail").and_then(Json::scalar).map(str::to_owned),
    }
}

/// A number without its fraction.
pub fn whole(text: &str) -> Option<i64> {
    i64::try_from(decimal(text)?.trunc()).ok()
}
