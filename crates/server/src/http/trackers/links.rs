//! The links of a tracker as they are handed to a network: `GET /api/trackers/{tracker}/links`
//! (tracking-and-attribution.md sections 2 and 3).

use axum::{Json, extract::State};
use measure::{
    TrackerId,
    catalogue::{App, Network, Tracker},
    fraud::Scope,
    platform::Os,
};
use qrcode::{EcLevel, QrCode, render::svg};
use serde_json::{Map, Value, json};

use crate::{
    auth::Caller,
    error::Error,
    http::{asked::Path, fields::Fields, openapi::Refusals},
    site::Site,
};

/// Where a network keeps how it writes macros: parameter and macro.
const MACROS: &str = "link_macros";
/// A parameter is named with at most this many bytes, and its macro written with as many.
const MACRO_BYTES_MAX: usize = 256;
/// Side of the QR code, pixels at least.
const QR_PIXELS_MIN: u32 = 256;

/// What every engagement can carry, in the order of section 2.
const COMMON: [&str; 14] = [
    "click_id",
    "site_id",
    "sub_site_id",
    "creative_id",
    "creative_size",
    "creative_type",
    "partner_campaign_id",
    "partner_campaign_name",
    "bid_type",
    "bid_won",
    "ad_platform",
    "ad_type",
    "impression_id",
    "language",
];
/// What a server has to tell about the device, since the connection is its own.
const OF_DEVICE: [&str; 2] = ["ip_address", "device_ua"];

/// `GET /api/trackers/{tracker}/links`
#[utoipa::path(
    get, path = "/api/trackers/{tracker}/links", tag = "management",
    params(("tracker" = u64, Path, description = "the number of the tracker")),
    responses((status = 200, description = "links for every way of calling, each with the macros that the network fills in, and a QR code of the plain one", body = Value), Refusals),
    operation_id = "tracker_links",
)]
pub async fn links(
    State(site): State<Site>,
    caller: Caller,
    Path(tracker): Path<String>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let id: Option<TrackerId> = tracker.parse().ok();
    let tracker = id.and_then(|id| catalogue.tracker(id)).filter(|tracker| !tracker.deleted);
    let tracker = tracker.ok_or(Error::NotFound("tracker"))?;
    let app = catalogue.app(tracker.app).filter(|app| !app.deleted).ok_or(Error::NotFound("tracker"))?;
    caller.may_read(app.id)?;
    let network = catalogue.network(tracker.network).ok_or(Error::Internal("a tracker without a network"))?;
    let signs = catalogue.fraud(Scope::Network(network.id)).is_some_and(|rules| rules.signing_key.is_some());
    let maker = Maker { base: site.public_url(), tracker, app, macros: written(network) };
    maker.all(signs).map(Json)
}

/// How a network writes macros, where it says so.
fn written(network: &Network) -> Map<String, Value> {
    let kept = Fields::kept(&network.extra).object(MACROS).ok().flatten();
    match kept.map(Fields::into_value) {
        Some(Value::Object(macros)) => macros,
        _ => Map::new(),
    }
}

/// Refuses `link_macros` that would make no link: each is a parameter and the network's macro for it.
pub fn check_macros(fields: &Fields) -> Result<(), Error> {
    let fits =
        |text: &str| !text.is_empty() && text.len() <= MACRO_BYTES_MAX && !text.contains(['&', '#', ' ']);
    let wrong = |text: &str| Err(Error::BadRequest(format!("{MACROS}: {text}")));
    match fields.peek(MACROS) {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Object(macros)) => {
            let bad = macros.iter().find(|(name, text)| !fits(name) || !text.as_str().is_some_and(fits));
            match bad {
                None => Ok(()),
                Some((name, _)) => wrong(&format!("{name}: must be a text without spaces, `&` or `#`")),
            }
        }
        Some(_) => wrong("must be an object of parameters and the network's macros for them"),
    }
}

/// Makes the links of one tracker.
struct Maker<'c> {
    base: String,
    tracker: &'c Tracker,
    app: &'c App,
    macros: Map<String, Value>,
}

impl Maker<'_> {
    fn all(&self, signs: bool) -> Result<Value, Error> {
        let plain = self.url("/v1/cpi/click", &[], "");
        let (common, device) = (self.common(), self.device());
        let ordinary: Vec<&str> = common.iter().chain(&device).copied().collect();
        let of_server: Vec<&str> = ordinary.iter().copied().chain(OF_DEVICE).collect();
        let signed: Vec<&str> = ordinary.iter().copied().chain(["expires"]).collect();
        let (click, impression) = ("/v1/cpi/click", "/track/impression");
        let link = |path: &str, macros: &[&str], more: &str| json!({ "url": self.url(path, macros, more), "macros": macros });
        let mut signed = link(click, &signed, "&signature={signature}");
        signed["hint"] =
            "signature: hexadecimal HMAC-SHA256, under the key of the network, over the path and the \
                          query up to the & before signature; expires: epoch seconds"
                .into();
        signed["required"] = signs.into();
        Ok(json!({
            "tracker_id": self.tracker.id.to_string(), "app_id": self.tracker.app.to_string(),
            "network_id": self.tracker.network.to_string(), "guid": self.tracker.guid,
            "plain": { "url": plain, "macros": [], "qr_svg": qr(&plain)? },
            "click": link(click, &ordinary, ""),
            "impression": link(impression, &ordinary, ""),
            "click_s2s": link(click, &of_server, "&pbr=1"),
            "impression_s2s": link(impression, &of_server, ""),
            "click_signed": signed,
        }))
    }

    /// What every engagement can carry, and what the deep link of the tracker names.
    fn common(&self) -> Vec<&str> {
        let mut names = COMMON.to_vec();
        for name in placeholders(&self.tracker.destination_url) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// What tells of the device on the platform of the app.
    fn device(&self) -> Vec<&'static str> {
        match self.app.os() {
            Some(Os::Ios | Os::TvOs) => vec!["idfa", "att", "att_time", "skan_campaign_id"],
            Some(Os::Android) => vec!["adid", "android_id"],
            _ => vec!["device_id", "device_id_type"],
        }
    }

    /// Macros stay as they are written: a network looks for exactly these bytes.
    fn url(&self, path: &str, macros: &[&str], more: &str) -> String {
        let own = form_urlencoded::Serializer::new(String::new())
            .append_pair("campaign_id", &self.tracker.guid)
            .append_pair("network_id", &self.tracker.network.to_string())
            .finish();
        let filled: String = macros
            .iter()
            .map(|name| {
                let text = self.macros.get(*name).and_then(Value::as_str);
                let text = text.map_or_else(|| format!("{{{name}}}"), str::to_owned);
                format!("&{name}={text}")
            })
            .collect();
        format!("{}{path}?{own}{filled}{more}", self.base)
    }
}

/// The `{key}` placeholders of a destination, each once, but for those that Sextant fills itself.
fn placeholders(url: &str) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    for part in url.split('{').skip(1) {
        let Some((name, _)) = part.split_once('}') else { continue };
        let plain = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if plain && !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// A QR code as SVG.
fn qr(text: &str) -> Result<String, Error> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(|_| {
        Error::BadRequest("the link is too long for a QR code; shorten server.public_url".to_owned())
    })?;
    Ok(code.render::<svg::Color<'_>>().min_dimensions(QR_PIXELS_MIN, QR_PIXELS_MIN).build())
}

#[cfg(test)]
mod tests {
    use super::{Fields, check_macros, placeholders, qr};

    #[test]
    fn placeholders_are_found_once() {
        let check = |url: &str, expected: &[&str]| assert_eq!(placeholders(url), expected, "{url}");
        check("https://shop.example.com/", &[]);
        check("demo://item/{sku}?c={color}&again={sku}", &["sku", "color"]);
        check("demo://{}/{a b}/{open", &[]);
    }

    #[test]
    fn macros_that_break_a_link_are_refused() {
        let check =
            |json: &str, good: bool| assert_eq!(check_macros(&Fields::kept(json)).is_ok(), good, "{json}");
        check("{}", true);
        check(r#"{"link_macros":{"click_id":"%%CLICK_ID%%","adid":"[gaid]"}}"#, true);
        check(r#"{"link_macros":{"click_id":"a&b=1"}}"#, false);
        check(r#"{"link_macros":{"click_id":"a b"}}"#, false);
        check(r#"{"link_macros":{"click_id":7}}"#, false);
        check(r#"{"link_macros":["click_id"]}"#, false);
    }

    #[test]
    fn a_code_is_an_svg() {
        let code = qr("https://links.example.com/v1/cpi/click?campaign_id=kodemo-1&network_id=77").unwrap();
        assert!(code.contains("<svg") && code.ends_with("</svg>"), "{code}");
        assert!(qr(&"x".repeat(3_000)).is_err());
    }
}
