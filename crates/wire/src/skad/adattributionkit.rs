//! AdAttributionKit: a JSON web signature (RFC 7515, compact, ES256) in a JSON object beside what is not
//! signed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use measure::skad::{AggregatePostback, ConversionType, Framework, Signed};

use super::{Postback, fields::Fields, keys::Proof};
use crate::{
    json::{Json, Object, get},
    refusal::Refusal,
};

/// The field that holds the signature.
pub const JWS: &str = "jws-string";

/// Reads a postback and the parts of its signature.
pub fn read(object: &Object) -> Result<Postback, Refusal> {
    let jws = get(object, JWS).and_then(Json::scalar).unwrap_or_default();
    let parts: Vec<&str> = jws.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        return Err(broken("three parts with points between them"));
    };
    let key = key_id(&part(header)?)?;
    let payload_part = part(payload)?;
    let mut outer = Fields::new(object);
    outer.skip(JWS);
    let mut claim = claim(payload_part.object().ok_or_else(|| broken("a JSON object as payload"))?)?;
    let also_signed = std::mem::take(&mut claim.advisory.params);
    claim.advisory = outer.advisory();
    claim.advisory.params.splice(..0, also_signed);
    let message = format!("{header}.{payload}").into_bytes();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    Ok(Postback { claim, proof: Proof::Jws { key, message, signature } })
}

/// One part of a signature, decoded.
fn part(part: &str) -> Result<Json, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| broken("base64url without padding"))?;
    let text = str::from_utf8(&bytes).map_err(|_| broken("UTF-8 inside"))?;
    Json::parse(text).map_err(|_| broken("JSON inside"))
}

/// The key that the header names. The algorithm is Apple's one: a header never chooses another.
fn key_id(header: &Json) -> Result<String, Refusal> {
    let header = header.object().ok_or_else(|| broken("a JSON object as header"))?;
    if get(header, "alg").and_then(Json::scalar) != Some("ES256") {
        return Err(broken("alg ES256 in its header"));
    }
    if get(header, "crit").is_some() {
        return Err(broken("no crit in its header, because no extension is understood"));
    }
    let key = get(header, "kid").and_then(Json::scalar);
    key.map(str::to_owned).ok_or_else(|| broken("kid in its header"))
}

fn claim(payload: &Object) -> Result<AggregatePostback, Refusal> {
    let mut fields = Fields::new(payload);
    let mut claim = AggregatePostback {
        framework: Framework::AdAttributionKit,
        version: None,
        network: fields.required("ad-network-identifier")?,
        source: fields.required_digits("source-identifier")?,
        app_store_id: fields.required_digits("advertised-item-identifier")?,
        transaction: fields.required("postback-identifier")?,
        window: fields.required_digit("postback-sequence-index", 2)?,
        conversion: ConversionType::named(&fields.required("conversion-type")?),
        source_app: fields.optional_digits("publisher-item-identifier")?,
        source_domain: None,
        fidelity: None,
        did_win: Some(fields.required_truth("did-win")?),
        impression: Some(fields.required("impression-type")?),
        marketplace: fields.optional("marketplace-identifier")?,
        // Until it is verified this means nothing, and nobody sees it.
        signed: Signed::Development,
        advisory: measure::skad::Advisory::default(),
    };
    claim.advisory.params = fields.rest();
    Ok(claim)
}

fn broken(expected: &str) -> Refusal {
    Refusal::bad_request(format!("{JWS} must have {expected}: forward the postback as Apple sent it"))
}
