//! Apple's aggregate postbacks: SKAdNetwork 2.0 to 4.0 and AdAttributionKit
//! (tracking-and-attribution.md section 15).
//!
//! A postback is read first and verified after, so that one whose signature is wrong can still be filed
//! with the app it names. Only what Apple signed gets a place of its own; the rest is advisory.

mod adattributionkit;
mod fields;
mod keys;
mod skadnetwork;

use form_urlencoded::parse as pairs;
use measure::skad::{AggregatePostback, Signed};

pub use keys::{InvalidKey, TrustedKeys};

use self::keys::Proof;
use crate::{json::Json, refusal::Refusal};

/// A postback of this many bytes or more is refused: Apple's have about one thousand.
pub const POSTBACK_BYTES_MAX: usize = 65_536;

/// A postback as it was read, not verified yet.
#[derive(Clone, Debug)]
pub struct Postback {
    claim: AggregatePostback,
    proof: Proof,
}

/// Reads a postback: the JSON object that Apple sends, and what was added to the address it was sent to.
///
/// # Errors
/// 400 when it is no JSON object, its version is not known, or a signed field is missing or malformed.
pub fn read(body: &[u8], query: &str) -> Result<Postback, Refusal> {
    let text = str::from_utf8(body).map_err(|_| Refusal::bad_request("the body is not UTF-8"))?;
    let json = Json::parse(text.trim_start_matches('\u{feff}').trim())
        .map_err(|error| Refusal::bad_request(format!("the body is not valid JSON: {error}")))?;
    let object = json.object().ok_or_else(|| {
        Refusal::bad_request("the body is not a JSON object: send the postback as Apple sent it")
    })?;
    let mut postback = if crate::json::get(object, adattributionkit::JWS).is_some() {
        adattributionkit::read(object)?
    } else {
        skadnetwork::read(object)?
    };
    postback.claim.advisory.params.extend(pairs(query.as_bytes()).into_owned());
    Ok(postback)
}

impl Postback {
    /// The advertised app that it names, verified or not.
    #[must_use]
    pub fn app_store_id(&self) -> &str {
        &self.claim.app_store_id
    }

    /// What it says, once Apple's signature is found to be on it.
    ///
    /// # Errors
    /// 400 `bad_signature` when none of `keys` made the signature, and `development_key` when one of Apple's
    /// development keys did and `accept_development` is off.
    pub fn verify(
        mut self,
        keys: &TrustedKeys,
        accept_development: bool,
    ) -> Result<AggregatePostback, Refusal> {
        let signed = keys.verify(&self.proof).ok_or_else(|| {
            Refusal::bad_request(
                "bad_signature: this is not what Apple signed; forward the postback without changes",
            )
        })?;
        if signed == Signed::Development && !accept_development {
            return Err(Refusal::bad_request(
                "development_key: signed for tests; set skad.accept_development_postbacks to take it",
            ));
        }
        self.claim.signed = signed;
        Ok(self.claim)
    }
}
