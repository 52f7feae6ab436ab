//! How the town's calls look on the wire (ingest.md section 3, tracking-and-attribution.md section 2).

use std::net::IpAddr;

use reqwest::Url;
use serde_json::{Map, json};

use super::{Names, phone::Phone};
use crate::device::Hash;

/// The partner's click id of a mark.
pub fn click_id(mark: u64) -> String {
    format!("c{mark}")
}

#[expect(clippy::too_many_arguments, reason = "each is one parameter of the link")]
pub fn link(
    phone: &Phone,
    network: usize,
    mark: u64,
    time: i64,
    address: IpAddr,
    user_agent: String,
    with_id: bool,
    hashed: bool,
    names: &Names<'_>,
) -> String {
    let mut pairs: Vec<(&str, String)> = vec![
        ("campaign_id", (names.tracker)(phone.platform, network)),
        ("click_id", click_id(mark)),
        ("site_id", format!("site-{}", phone.home.person % 7)),
        ("ip_address", address.to_string()),
        ("device_ua", user_agent),
        ("click_time", time.to_string()),
    ];
    let key = phone.platform.advertising_key();
    if with_id && hashed {
        let digest = Hash::Sha1.hex(&phone.device.advertising_id.to_ascii_lowercase());
        pairs.push(("device_id", digest));
        pairs.push(("device_id_type", key.to_owned()));
        pairs.push(("device_id_is_hashed", "true".to_owned()));
        pairs.push(("device_hash_method", "SHA1".to_owned()));
    } else if with_id {
        pairs.push((key, phone.device.advertising_id.clone()));
    }
    if phone.is_apple() {
        pairs.push(("att", if with_id { "1" } else { "0" }.to_owned()));
    }
    Url::parse_with_params("http://host.example", &pairs)
        .map(|url| url.query().unwrap_or_default().to_owned())
        .unwrap_or_default()
}

pub fn install_body(
    phone: &Phone,
    opened: i64,
    address: IpAddr,
    referrer: Option<&str>,
    apple: Option<i64>,
    names: &Names<'_>,
) -> String {
    let mut ids = Map::new();
    ids.insert(phone.platform.vendor_key().to_owned(), json!(phone.device.vendor_id));
    if phone.install_has_id() {
        ids.insert(phone.platform.advertising_key().to_owned(), json!(phone.device.advertising_id));
    }
    let mut data = json!({
        "usertime": opened,
        "app_version": "3.4.1",
        "origination_ip": address,
        "device_ua": "",
        "device_ver": phone.device_ver(opened),
        "device_ids": ids,
    });
    if phone.is_apple() {
        data["app_tracking_transparency"] = json!({ "att": phone.install_has_id() });
    }
    if let Some(click_id) = referrer {
        data["install_referrer"] = json!({ "referrer": format!("utm_source={click_id}") });
    }
    if let Some(clicked) = apple {
        let clicked = jiff::Timestamp::from_millisecond(clicked)
            .map(|time| time.strftime("%Y-%m-%dT%H:%MZ").to_string())
            .unwrap_or_default();
        data["adservices_attribution_details"] = json!({
            "attribution": true, "orgId": 40_669_820, "campaignId": 542_370_539, "clickDate": clicked,
        });
    }
    json!({
        "action": "install", "kochava_app_id": (names.app)(phone.platform),
        "kochava_device_id": phone.device.kochava_device_id, "data": data,
    })
    .to_string()
}
