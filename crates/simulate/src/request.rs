//! How each step looks on the wire (ingest.md sections 3 to 6, tracking-and-attribution.md sections 2, 3).

use reqwest::Url;
use serde_json::{Map, Value, json};

use crate::{
    account::Account,
    device::{Consent, Device, Platform},
    scenario::{Action, Caller, Clock, Engagement, Event, Install, Join, LinkId, Person, Step},
};

/// A request, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Path and query.
    pub path: String,
    /// The JSON body; `None` is a GET.
    pub body: Option<String>,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// The status of a success.
    pub expect: u16,
}

/// A step of a person as a request. `referrer` is what the store hands over after the person's click.
#[must_use]
pub fn render(account: &Account, person: &Person, step: &Step, referrer: Option<&str>) -> Request {
    let device = &person.device;
    match &step.action {
        Action::Click(click) => engagement(account, device, step, click, "/v1/cpi/click"),
        Action::Impression(view) => engagement(account, device, step, view, "/track/impression"),
        Action::Install(install) => {
            post(account, step, device, "install", self::install(device, install, referrer))
        }
        Action::Event(event) => {
            let mut request = post(account, step, device, "event", self::event(device, event));
            request.headers.extend(event.key.clone().map(|key| ("Idempotency-Key", key)));
            request
        }
        Action::Update => {
            let data = json!({ device.platform.advertising_key(): device.advertising_id });
            post(account, step, device, "update", Draft { data, named: true })
        }
        Action::Link { join, user_id } => link(account, device, *join, user_id),
    }
}

/// The `data` object of a body, and whether the body names the `kochava_device_id`.
struct Draft {
    data: Value,
    named: bool,
}

fn post(account: &Account, step: &Step, device: &Device, action: &str, draft: Draft) -> Request {
    let Draft { mut data, named } = draft;
    if let Some(time) = step.time {
        data["usertime"] = match step.clock {
            Clock::Seconds => json!(time),
            Clock::Text => json!(time.to_string()),
            Clock::Millis => json!(time * 1_000),
        };
    }
    let mut body = json!({ "action": action, "kochava_app_id": account.app(device.platform).guid });
    if named {
        body["kochava_device_id"] = json!(device.kochava_device_id);
    }
    body["data"] = data;
    json_post("/track/json", &body)
}

fn json_post(path: &str, body: &Value) -> Request {
    Request {
        path: path.to_owned(),
        body: Some(body.to_string()),
        headers: vec![("Content-Type", "application/json".to_owned()), ("User-Agent", "Unknown".to_owned())],
        expect: 200,
    }
}

fn engagement(account: &Account, device: &Device, step: &Step, ad: &Engagement, path: &str) -> Request {
    let tracker = account.tracker(ad.app, ad.network);
    let mut pairs: Vec<(&str, String)> = vec![
        ("campaign_id", tracker.guid.clone()),
        ("network_id", account.networks[ad.network].id.to_string()),
        ("click_id", ad.click_id.clone()),
        ("site_id", ad.site_id.clone()),
        ("ip_address", ad.ip.to_string()),
    ];
    pairs.extend(link_id(device, ad.id));
    if device.platform == Platform::Ios && ad.id.is_some() {
        pairs.push(("att", "1".to_owned()));
    }
    if let Some(time) = step.time {
        let millis = step.clock == Clock::Millis;
        pairs.push(("click_time", if millis { format!("{time}000") } else { time.to_string() }));
    }
    let click = matches!(step.action, Action::Click(_));
    let mut headers = Vec::new();
    match ad.caller {
        Caller::Server => {
            pairs.push(("device_ua", device.browser.clone()));
            if click {
                pairs.push(("pbr", "1".to_owned()));
            }
        }
        // A browser's user agent is the phone's; the address of a simulated phone has to be told.
        Caller::Browser => headers.push(("User-Agent", device.browser.clone())),
    }
    let expect = if click && ad.caller == Caller::Browser { 302 } else { 200 };
    Request { path: with_query(path, &pairs), body: None, headers, expect }
}

fn link_id(device: &Device, id: LinkId) -> Vec<(&'static str, String)> {
    let key = device.platform.advertising_key();
    let plain = device.advertising_id.clone();
    match id {
        LinkId::None { placeholder: false } => Vec::new(),
        LinkId::None { placeholder: true } => vec![(key, format!("{{{key}}}"))],
        LinkId::Plain => vec![(key, plain)],
        LinkId::Typed => vec![("device_id", plain), ("device_id_type", key.to_owned())],
        LinkId::Hashed { hash, upper, dashes } => {
            let text = if upper { plain.to_ascii_uppercase() } else { plain.to_ascii_lowercase() };
            let text = if dashes { text } else { text.replace('-', "") };
            vec![
                ("device_id", hash.hex(&text)),
                ("device_id_type", key.to_owned()),
                ("device_id_is_hashed", "true".to_owned()),
                ("device_hash_method", hash.name().to_owned()),
            ]
        }
    }
}

/// `path?query`, percent-encoded as browsers do it.
fn with_query(path: &str, pairs: &[(&str, String)]) -> String {
    Url::parse_with_params("http://host.example", pairs)
        .map(|url| format!("{path}?{}", url.query().unwrap_or_default()))
        .unwrap_or_else(|_| path.to_owned())
}

fn install(device: &Device, install: &Install, referrer: Option<&str>) -> Draft {
    let mut data = json!({
        "app_version": "3.4.1",
        "origination_ip": install.ip,
        "device_ua": if install.user_agent { device.app_user_agent.as_str() } else { "" },
        "device_ver": if install.user_agent { String::new() } else { device.device_ver() },
    });
    let mut ids = Map::new();
    if device.consent == Consent::Granted {
        ids.insert(device.platform.advertising_key().to_owned(), json!(device.advertising_id));
    }
    ids.insert(device.platform.vendor_key().to_owned(), json!(device.vendor_id));
    data["device_ids"] = Value::Object(ids);
    add_att(&mut data, device, device.consent == Consent::Granted);
    if let Some(referrer) = referrer.filter(|_| install.referrer) {
        data["install_referrer"] = json!({ "referrer": referrer });
    }
    if let Some(clicked) = install.search_ads {
        data["adservices_attribution_details"] = json!({
            "attribution": true, "orgId": 40_669_820, "campaignId": 542_370_539, "adGroupId": 542_317_095,
            "keywordId": 87_675_432, "conversionType": "Download", "countryOrRegion": "DE",
            "clickDate": minute(clicked),
        });
    }
    if let Some(user) = &install.user_id {
        data["identity_link"] = json!({ "user_id": user });
    }
    Draft { data, named: true }
}

fn add_att(data: &mut Value, device: &Device, granted: bool) {
    if device.platform == Platform::Ios {
        data["app_tracking_transparency"] = json!({ "att": granted });
    }
}

/// A moment as Apple writes it: to the minute, UTC.
fn minute(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.strftime("%Y-%m-%dT%H:%MZ").to_string())
        .unwrap_or_default()
}

fn event(device: &Device, event: &Event) -> Draft {
    let mut data = json!({
        "app_version": "3.4.1",
        "device_ua": device.app_user_agent,
        "event_name": event.name,
        "event_data": event.data,
    });
    if let Some(currency) = event.currency {
        data["currency"] = json!(currency);
    }
    add_att(&mut data, device, device.consent != Consent::Refused);
    match event.join {
        Join::AdvertisingId => {
            data["device_ids"] = json!({ device.platform.advertising_key(): device.advertising_id });
        }
        Join::VendorId => data["device_ids"] = json!({ device.platform.vendor_key(): device.vendor_id }),
        Join::KochavaDeviceId | Join::Hashed(_) => {}
    }
    Draft { data, named: matches!(event.join, Join::KochavaDeviceId | Join::Hashed(_)) }
}

fn link(account: &Account, device: &Device, join: Join, user_id: &str) -> Request {
    let app = &account.app(device.platform).guid;
    let advertising = device.platform.advertising_key();
    let links = json!({ "user_id": user_id });
    let (id, hash) = match join {
        Join::KochavaDeviceId => {
            let body = json!({ "action": "identityLink", "kochava_app_id": app,
                "kochava_device_id": device.kochava_device_id, "data": { "identity_link": links } });
            return json_post("/track/json", &body);
        }
        Join::AdvertisingId => (json!({ advertising: device.advertising_id }), None),
        Join::VendorId => (json!({ device.platform.vendor_key(): device.vendor_id }), None),
        Join::Hashed(hash) => (json!({ advertising: hash.hex(&device.advertising_id) }), Some(hash)),
    };
    let mut body = json!({ "kochava_app_id": app, "device_id": id });
    if let Some(hash) = hash {
        body["device_hash_method"] = json!({ advertising: hash.name().to_ascii_lowercase() });
    }
    body["data"] = links;
    json_post("/v1/cpi/identityLink.php", &body)
}

/// What the Play store would hand over to the app after this redirect: the `referrer` of the store's URL.
#[must_use]
pub fn referrer(location: &str) -> Option<String> {
    let url = Url::parse(location).ok()?;
    url.query_pairs().find(|(key, _)| key == "referrer").map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests;
