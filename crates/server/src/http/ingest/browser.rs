//! Browsers: the handshake `POST /track/kvinit`, and our own snippet `GET /sx.js`
//! (ingest.md section 18, docs/browser.md).

use std::sync::LazyLock;

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use measure::{catalogue::BrowserSettings, source::SourceKind};
use serde_json::{Value, json};
use wire::s2s::elements;

use super::{answer::refusal, source::Known};
use crate::{edge, http::openapi::Untaken, site::Site};

/// A handshake has fewer bytes than this: it names an app and a browser.
const HANDSHAKE_BYTES_MAX: usize = 64 * 1024;
/// Seconds after which browsers try again what failed, as the incumbent's handshake gives them.
const RETRY_WATERFALL_S: [u64; 4] = [7, 30, 300, 1_800];
/// How long a browser may keep the snippet.
const SNIPPET_CACHE: &str = "public, max-age=3600";

/// The snippet as it is written, and as it is sent: without comments and indentation.
const SOURCE: &str = include_str!("sx.js");
static SNIPPET: LazyLock<String> = LazyLock::new(|| {
    let lines = SOURCE.lines().map(str::trim_start);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
});

/// The handshake of the browser SDK: where it sends to, and what it keeps to itself. Nothing is put on record.
#[utoipa::path(
    post, path = "/track/kvinit", tag = "ingest",
    request_body = Value,
    responses((status = 200, description = "the settings of the app for browsers", body = Value), Untaken),
    operation_id = "browser_handshake",
)]
pub(in crate::http) async fn handshake(
    State(site): State<Site>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let body = match edge::read_body(&site, request, HANDSHAKE_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return refusal(error.status(), &error.message()),
    };
    let element = match elements(&body) {
        Ok(parsed) if !parsed.is_array => parsed.elements.into_iter().next().and_then(Result::ok),
        Ok(_) => None,
        Err(refused) => return refusal(refused.status, &refused.error),
    };
    let Some(element) = element else { return refusal(400, "the body must be one JSON object") };
    if element.action() != Some("init") {
        return refusal(400, "action must be init here; installs and events go to /track/json/");
    }
    let Some(guid) = element.app_guid() else {
        return refusal(400, "kochava_app_id is missing: send the GUID of the app");
    };
    let catalogue = site.catalogue.current();
    let Some(sender) = Known::named(&catalogue, SourceKind::Web, guid) else {
        // The browser keeps its queue and asks again.
        return refusal(404, "kochava_app_id is not known here: create the app first, or check its GUID");
    };
    let url = reached_at(&site, &headers);
    Json(settings(&sender.app.browser, &url, catalogue.version)).into_response()
}

/// The whole answer. Every URL is given: one left out would lead to the incumbent.
fn settings(browser: &BrowserSettings, url: &str, version: u64) -> Value {
    let messages = format!("{url}/track/json/");
    json!({
        "success": "1",
        "general": { "device_id_override": "", "app_id_override": "" },
        "config": {
            "init_token": format!("v{version}"),
            "refresh_minimum": browser.refresh_minimum_s.unwrap_or(BrowserSettings::REFRESH_S),
        },
        "install": { "resend_id": browser.resend_id, "updates_enabled": true },
        "networking": {
            "urls": {
                "init": format!("{url}/track/kvinit"), "install": messages, "event": messages,
                "identityLink": messages,
            },
            "retry_waterfall": RETRY_WATERFALL_S,
        },
        "privacy": {
            "allow_custom_ids": browser.allow_custom_ids, "deny_datapoints": browser.deny_datapoints,
            "deny_event_names": browser.deny_event_names, "deny_identity_links": browser.deny_identity_links,
        },
    })
}

/// Where the browser reached us: `server.public_url`, else the host that it asked for.
fn reached_at(site: &Site, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).filter(|host| is_host(host));
    match host {
        Some(host) if site.config.server.public_url.is_none() => {
            let scheme = if site.config.server.tls_cert.is_some() { "https" } else { "http" };
            format!("{scheme}://{host}")
        }
        _ => site.public_url(),
    }
}

/// Whether a text can be a host and a port, and nothing else.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']'))
}

/// Our own snippet for pages without an SDK.
#[utoipa::path(
    get, path = "/sx.js", tag = "ingest",
    responses((status = 200, description = "JavaScript", content_type = "text/javascript")),
    operation_id = "browser_snippet",
)]
pub(in crate::http) async fn snippet() -> Response {
    let mut response = SNIPPET.as_str().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(SNIPPET_CACHE));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
