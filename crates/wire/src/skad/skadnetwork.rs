//! SKAdNetwork: a JSON object whose signed values are joined in an order that each version has of its own.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use measure::skad::{AggregatePostback, ConversionType, Framework, Signed};

use super::{
    Postback,
    fields::{Fields, SEPARATOR},
    keys::Proof,
};
use crate::{json::Object, refusal::Refusal};

/// What a version signs beside what all of them sign.
struct Layout {
    /// The name of the campaign.
    source: &'static str,
    /// `source-domain` in the place of `source-app-id`.
    domain: bool,
    fidelity: bool,
    did_win: bool,
    window: bool,
    /// Signed with Apple's first key, of the curve P-192.
    early_key: bool,
}

const VERSION_2_1: Layout = Layout {
    source: "campaign-id",
    domain: false,
    fidelity: false,
    did_win: false,
    window: false,
    early_key: false,
};
const VERSION_2_0: Layout = Layout { early_key: true, ..VERSION_2_1 };
const VERSION_2_2: Layout = Layout { fidelity: true, ..VERSION_2_1 };
const VERSION_3_0: Layout = Layout { did_win: true, ..VERSION_2_2 };
const VERSION_4_0: Layout = Layout { source: "source-identifier", domain: true, window: true, ..VERSION_3_0 };

fn layout(version: &str) -> Option<&'static Layout> {
    Some(match version {
        "2.0" => &VERSION_2_0,
        "2.1" => &VERSION_2_1,
        "2.2" => &VERSION_2_2,
        "3.0" => &VERSION_3_0,
        "4.0" => &VERSION_4_0,
        _ => return None,
    })
}

/// Reads a postback and puts together what Apple signed of it.
pub fn read(object: &Object) -> Result<Postback, Refusal> {
    let mut fields = Fields::new(object);
    let version = fields.required("version")?;
    let layout = layout(&version).ok_or_else(|| {
        let text = format!("version {version:?} is not known: 2.0, 2.1, 2.2, 3.0 and 4.0 are");
        Refusal::bad_request(text)
    })?;
    let network = fields.required("ad-network-id")?;
    let source = fields.required_digits(layout.source)?;
    let app_store_id = fields.required_digits("app-id")?;
    let transaction = fields.required("transaction-id")?;
    let redownload = fields.required_truth("redownload")?;
    let source_app = fields.optional_digits("source-app-id")?;
    let source_domain = if layout.domain { fields.optional("source-domain")? } else { None };
    if source_app.is_some() && source_domain.is_some() {
        return Err(Refusal::bad_request(
            "source-app-id and source-domain exclude each other: Apple signs one",
        ));
    }
    let fidelity = layout.fidelity.then(|| fields.required_digit("fidelity-type", 1)).transpose()?;
    let did_win = layout.did_win.then(|| fields.required_truth("did-win")).transpose()?;
    let window = layout.window.then(|| fields.required_digit("postback-sequence-index", 2)).transpose()?;
    let signature = fields.required("attribution-signature")?;

    let mut signed: Vec<String> = vec![
        version.clone(),
        network.clone(),
        source.clone(),
        app_store_id.clone(),
        transaction.clone(),
        redownload.to_string(),
    ];
    signed.extend(source_app.clone().or_else(|| source_domain.clone()));
    signed.extend(fidelity.map(|digit| digit.to_string()));
    signed.extend(did_win.map(|truth| truth.to_string()));
    signed.extend(window.map(|digit| digit.to_string()));
    let message = signed.join(&SEPARATOR.to_string()).into_bytes();
    // Some forwarders lose the padding or escape the signature; what does not decode is no signature.
    let signature = STANDARD.decode(signature).unwrap_or_default();
    let proof = if layout.early_key {
        Proof::Early { message, signature }
    } else {
        Proof::Later { message, signature }
    };
    let claim = AggregatePostback {
        framework: Framework::SkAdNetwork,
        version: Some(version),
        network,
        source,
        app_store_id,
        transaction,
        window: window.unwrap_or_default(),
        conversion: if redownload { ConversionType::Redownload } else { ConversionType::Download },
        source_app,
        source_domain,
        fidelity,
        did_win,
        impression: None,
        marketplace: None,
        // Until it is verified this means nothing, and nobody sees it.
        signed: Signed::Development,
        advisory: fields.advisory(),
    };
    Ok(Postback { claim, proof })
}
