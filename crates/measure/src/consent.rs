//! What the user allowed: App Tracking Transparency and the GDPR consent object
//! (ingest.md sections 8 and 9).

use serde::{Deserialize, Serialize};

use crate::platform::Traits;

/// The state of App Tracking Transparency as sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Att {
    /// Authorised or not; `None` when the flag was not sent.
    pub flag: Option<bool>,
    /// When the user decided, epoch seconds.
    pub time: Option<i64>,
    /// Seconds until the user answered.
    pub duration: Option<i64>,
    /// The authorisation status name, free text.
    pub detail: Option<String>,
}

/// The consent of one user, each part `None` when unknown. Unknown is not denied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// App Tracking Transparency.
    pub att: Att,
    /// Whether the GDPR applies.
    pub gdpr_applies: Option<bool>,
    /// TCF string.
    pub tc_string: Option<String>,
    /// Whether user data may be used for advertising.
    pub ad_user_data: Option<bool>,
    /// Whether ads may be personalised.
    pub ad_personalization: Option<bool>,
    /// The device's limit-ad-tracking switch.
    pub limit_tracking: Option<bool>,
}

/// Why an IDFA may not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdfaRefusal {
    /// iOS 14 or later (or an unknown version) without the flag.
    AttMissing,
    /// The user refused.
    AttFalse,
}

/// Whether an IDFA sent with `consent` from a device with `traits` may be kept
/// (ingest.md section 8): `None` means yes.
///
/// Before iOS 14 there was nothing to ask; from 14 on only `att: true` allows it. An unknown version
/// counts as 14 or later. An explicit `false` is honoured on every version.
#[must_use]
pub fn idfa_refusal(traits: &Traits, consent: &Consent) -> Option<IdfaRefusal> {
    match consent.att.flag {
        Some(true) => None,
        Some(false) => Some(IdfaRefusal::AttFalse),
        None if traits.os_major().is_some_and(|major| major < 14) => None,
        None => Some(IdfaRefusal::AttMissing),
    }
}
