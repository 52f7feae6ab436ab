//! What the user allowed: App Tracking Transparency and the GDPR consent object
//! (ingest.md sections 8 and 9).

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::{Timestamp, platform::Traits};

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

/// When something was said of a user. Of two statements the later one stands, in whatever order they come:
/// the one that was made later, in whole seconds because senders tell no less, and of one second the one
/// that was received later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment {
    /// When it was said, epoch seconds.
    pub second: i64,
    /// When it was received.
    pub received: Timestamp,
}

impl Moment {
    /// The moment of what was said at `time` and came at `received`.
    #[must_use]
    pub const fn new(time: Timestamp, received: Timestamp) -> Self {
        Self { second: time.seconds(), received }
    }
}

/// When each part of a [`Consent`] was said; `None` for parts that nobody has said, and for those of records
/// from before this was noted, which every statement replaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentSaid {
    /// [`Att::flag`] and what came with it.
    pub att: Option<Moment>,
    /// [`Consent::gdpr_applies`].
    pub gdpr_applies: Option<Moment>,
    /// [`Consent::tc_string`].
    pub tc_string: Option<Moment>,
    /// [`Consent::ad_user_data`].
    pub ad_user_data: Option<Moment>,
    /// [`Consent::ad_personalization`].
    pub ad_personalization: Option<Moment>,
    /// [`Consent::limit_tracking`].
    pub limit_tracking: Option<Moment>,
}

impl Consent {
    /// Takes over each part that `sent` tells and of which nothing later is known. Of two statements of one
    /// moment the stricter one stands, so that the order in which they come never decides.
    pub fn take(&mut self, said: &mut ConsentSaid, sent: &Self, at: Moment) {
        let att = sent.att.flag.is_some().then_some(&sent.att);
        let refuses = |att: &Att| att.flag == Some(false);
        if is_newer(att, Some(&self.att), said.att, at, |new, known| refuses(new) && !refuses(known)) {
            self.att = sent.att.clone();
            said.att = Some(at);
        }
        let strict = |stricter: bool| move |new: &bool, known: &bool| *new == stricter && *known != stricter;
        put(&mut self.gdpr_applies, &mut said.gdpr_applies, &sent.gdpr_applies, at, strict(true));
        put(&mut self.tc_string, &mut said.tc_string, &sent.tc_string, at, |new, known| new > known);
        put(&mut self.ad_user_data, &mut said.ad_user_data, &sent.ad_user_data, at, strict(false));
        let personal = (&mut self.ad_personalization, &mut said.ad_personalization);
        put(personal.0, personal.1, &sent.ad_personalization, at, strict(false));
        put(&mut self.limit_tracking, &mut said.limit_tracking, &sent.limit_tracking, at, strict(true));
    }
}

/// Takes a part of a consent over, if it is told and newer than what is known.
fn put<T: Clone>(
    known: &mut Option<T>,
    said: &mut Option<Moment>,
    sent: &Option<T>,
    at: Moment,
    is_stricter: impl Fn(&T, &T) -> bool,
) {
    if is_newer(sent.as_ref(), known.as_ref(), *said, at, is_stricter) {
        known.clone_from(sent);
        *said = Some(at);
    }
}

fn is_newer<T>(
    sent: Option<&T>,
    known: Option<&T>,
    said: Option<Moment>,
    at: Moment,
    is_stricter: impl Fn(&T, &T) -> bool,
) -> bool {
    match (sent, known, said) {
        (None, ..) => false,
        (Some(sent), Some(known), Some(said)) => at > said || (at == said && is_stricter(sent, known)),
        (Some(_), ..) => true,
    }
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
