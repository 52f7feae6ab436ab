mod explain;
mod fraud;
mod skad;

use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    http::{Request, header},
};
use engine::Engine;
use measure::{
    AppId, KeyId,
    catalogue::{Entry, ManagementKey},
    policy::{Policy, Window},
};
use serde_json::{Value, json};
use store::{Memory, Store};
use tower::ServiceExt as _;

use crate::{
    auth,
    catalogue::CatalogueService,
    clock,
    config::{self, Cli},
    edge::{Databases, Edge},
    http,
    site::{Parts, Site},
    vault::Vault,
};

pub(super) const KEY: &str = "first-key-of-the-tests";
const READER: &str = "a-key-that-only-reads";
const ONE_APP: &str = "a-key-for-app-1";

/// A program without sockets.
pub(super) struct Server {
    pub(super) site: Site,
    pub(super) router: Router,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: axum::http::HeaderMap,
    pub(super) body: Value,
}

impl Server {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With settings of its own.
    async fn with(settings: &[(&'static str, &str)]) -> Self {
        Self::over(Arc::new(Memory::new()), settings).await
    }

    /// On a store of the test's own.
    pub(super) async fn over(store: Arc<dyn Store>, settings: &[(&'static str, &str)]) -> Self {
        Self::made_of(store, settings, |_| {}).await
    }

    /// With parts of the test's own.
    pub(super) async fn made_of(
        store: Arc<dyn Store>,
        settings: &[(&'static str, &str)],
        change: impl FnOnce(&mut Parts),
    ) -> Self {
        let settings = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let (config, _) = config::load(&Cli { file: None, settings }, []).unwrap();
        let catalogue = CatalogueService::open(store.clone()).unwrap().service;
        catalogue.prepare(clock::now(), Policy::default(), Some(KEY)).await.unwrap();
        let more = [(2, READER, Vec::new(), false), (3, ONE_APP, vec![AppId(1)], true)];
        let keys = more.into_iter().map(|(id, key, apps, write)| {
            Entry::Key(ManagementKey {
                id: KeyId(id),
                name: String::new(),
                hash: auth::hash(key),
                apps,
                write,
                created: clock::now(),
                revoked: false,
                member: None,
            })
        });
        let keys = keys.collect();
        catalogue.change(clock::now(), None, |_| Ok::<_, store::StoreError>((keys, ()))).await.unwrap();
        let engine = Engine::start(store.clone(), catalogue.current(), engine::Options::default(), || {});
        let delivery = crate::site::Delivering::idle(store.clone());
        let mut parts = Parts {
            delivery,
            edge: Arc::new(Edge::new(&config, Databases::default())),
            config: Arc::new(config),
            catalogue,
            store,
            vault: Arc::new(Vault::with_key([7; 32])),
            engine: engine.unwrap().0,
            ledger: Arc::default(),
            app_limits: Arc::default(),
            paces: http::Paces::default(),
            what_ifs: Arc::default(),
            privacy: Arc::default(),
            skad_keys: Arc::new(wire::skad::TrustedKeys::apple().unwrap()),
            adservices: None,
            listening: SocketAddr::from(([127, 0, 0, 1], 8080)),
        };
        change(&mut parts);
        let site = Site::from(parts);
        Self { router: http::all(&site), site }
    }

    pub(super) async fn call(&self, key: &str, line: &str, body: Option<String>) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let peer = axum::extract::ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 4711)));
        let mut request = Request::builder().method(method).uri(path).extension(peer);
        if !key.is_empty() {
            request = request.header("Authentication-Key", key);
        }
        let request = request.body(body.map_or_else(Body::empty, Body::from)).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Answer { status, headers, body }
    }

    pub(super) async fn send(&self, line: &str, body: Value) -> Answer {
        self.call(KEY, line, Some(body.to_string())).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.call(KEY, &format!("GET {path}"), None).await
    }

    /// Sends and expects this status; the answer's body.
    pub(super) async fn expect(&self, status: u16, line: &str, body: Value) -> Value {
        let body = (!body.is_null()).then(|| body.to_string());
        let answer = self.call(KEY, line, body).await;
        assert_eq!(answer.status, status, "{line}: {}", answer.body);
        answer.body
    }

    /// An app with a campaign, a segment, a network and a tracker, all with the first number.
    async fn with_tracker() -> Self {
        let server = Self::start().await;
        server.expect(201, "POST /apps", json!({ "name": "Demo", "platform": "iOS" })).await;
        server.expect(201, "POST /networks", json!({ "name": "Blue" })).await;
        server.expect(201, "POST /campaign/1", json!({ "name": "Spring" })).await;
        server.expect(201, "POST /tier/1", json!({ "name": "DE" })).await;
        server.expect(201, "POST /tracker/1/create", tracker()).await;
        server
    }
}

fn tracker() -> Value {
    json!({
        "name": "DE video", "campaign_id": "1", "tier_id": "1", "network_id": "1001",
        "destination_url": "https://apps.example.com/demo?to={deep}", "network_price": 1.5,
    })
}

/// A request line, its body and the status that it is answered with.
async fn table(server: &Server, rows: &[(u16, &str, &str)]) {
    for (status, line, body) in rows {
        let body = (!body.is_empty()).then(|| (*body).to_owned());
        let answer = server.call(KEY, line, body).await;
        assert_eq!(answer.status, *status, "{line}: {}", answer.body);
        if *status >= 400 {
            assert_eq!(answer.body["success"], json!(false), "{line}");
            assert!(answer.body["errors"][0].as_str().is_some_and(|text| !text.is_empty()), "{line}");
        }
    }
}

#[tokio::test]
async fn health_needs_no_key() {
    let server = Server::start().await;
    for path in ["GET /healthz", "GET /readyz"] {
        assert_eq!(server.call("", path, None).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn unknown_paths_and_verbs_are_told_in_json() {
    let rows = [(404, "GET /nothing", ""), (405, "PUT /apps", ""), (405, "DELETE /healthz", "")];
    table(&Server::start().await, &rows).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_told_in_json() {
    let rows = [
        (400, "GET /api/deliveries?app=x", ""),
        (400, "GET /api/deliveries?limit=x", ""),
        (400, "GET /api/deliveries?limit=0", ""),
        (400, "GET /api/deliveries?state=lost", ""),
        (400, "GET /api/deliveries?install=x", ""),
        (400, "GET /api/deliveries?pageToken=x", ""),
        (400, "GET /api/deliveries?state=suppressed&pageToken=fact_x", ""),
        (400, "GET /api/ledger?app=x", ""),
        (400, "GET /api/apps/unknown/quarantine?limit=x", ""),
        (400, "GET /apps?pageToken=1&pageToken=2", ""),
        (400, "GET /campaign/%FF", ""),
        (400, "GET /apps/%FF/postbacks", ""),
    ];
    table(&Server::start().await, &rows).await;
}

#[tokio::test]
async fn every_management_route_asks_for_a_key() {
    let server = Server::with_tracker().await;
    let routes = [
        "GET /apps",
        "POST /apps",
        "GET /apps/1",
        "PATCH /apps/1",
        "DELETE /apps/1",
        "GET /networks",
        "POST /networks",
        "GET /networks/1",
        "PATCH /networks/1001",
        "DELETE /networks/1001",
        "GET /campaign/1",
        "POST /campaign/1",
        "GET /campaign/1/1",
        "DELETE /campaign/1/delete/1",
        "GET /tier/1",
        "POST /tier/1",
        "GET /tier/1/1",
        "DELETE /tier/1/delete/1",
        "GET /tracker/1",
        "POST /tracker/1",
        "POST /tracker/1/create",
        "GET /tracker/1/1",
        "DELETE /tracker/1/delete/1",
        "GET /tracker/override?id=1",
        "POST /tracker/override?id=1",
        "GET /api/ledger",
        "GET /api/deliveries",
        "GET /api/inputs/in_0",
        "GET /api/apps/1/quarantine",
        "GET /api/apps/1/events",
        "GET /v1/apps/demo/attribution/d",
        "GET /apps/1/postbacks",
        "GET /apps/1/postbacks/1",
        "POST /postbacks",
        "PATCH /postbacks/1",
        "POST /fraud/blacklist/add",
        "GET /api/blocklist",
        "POST /api/blocklist/import",
        "DELETE /postbacks/1",
    ];
    for line in routes {
        for key in ["", "not-a-key"] {
            let answer = server.call(key, line, Some("{}".to_owned())).await;
            assert_eq!(answer.status, 401, "{line}");
            assert_eq!(answer.body["success"], json!(false), "{line}");
            assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{line}");
        }
    }
}

#[tokio::test]
async fn keys_reach_no_further_than_they_may() {
    let server = Server::with_tracker().await;
    let other = json!({ "name": "Other", "platform": "Android", "guid": "kotwo" });
    server.expect(201, "POST /apps", other).await;
    let mut of_other = trigger("install", "");
    of_other["app_id"] = json!(2);
    server.expect(201, "POST /postbacks", of_other).await;
    let rows = [
        (READER, 200, "GET /apps/1", ""),
        (READER, 403, "POST /apps", r#"{"name":"x","platform":"iOS"}"#),
        (READER, 403, "PATCH /apps/1", "{}"),
        (READER, 403, "POST /networks", r#"{"name":"x"}"#),
        (READER, 403, "POST /campaign/1", r#"{"name":"x"}"#),
        (READER, 403, "POST /tier/1", r#"{"name":"x"}"#),
        (READER, 403, "POST /tracker/1", r#"{"id":"1"}"#),
        (READER, 403, "DELETE /tracker/1/delete/1", ""),
        (READER, 403, "POST /tracker/override?id=1", "{}"),
        (READER, 403, "POST /postbacks", r#"{"app_id":1,"type":"install","template_id":3373}"#),
        (ONE_APP, 200, "PATCH /apps/1", "{}"),
        (ONE_APP, 403, "GET /apps/2", ""),
        (ONE_APP, 403, "PATCH /apps/2", "{}"),
        (ONE_APP, 403, "GET /campaign/2", ""),
        (ONE_APP, 403, "GET /apps/2/postbacks", ""),
        (ONE_APP, 403, "POST /postbacks", r#"{"app_id":2,"type":"install","template_id":3373}"#),
        (ONE_APP, 403, "PATCH /postbacks/1", "{}"),
        (ONE_APP, 403, "DELETE /postbacks/1", ""),
        (ONE_APP, 404, "GET /apps/1/postbacks/1", ""),
        (ONE_APP, 403, "GET /apps/2/postbacks/1", ""),
        (ONE_APP, 403, "GET /v1/apps/kotwo/attribution/d", ""),
        (ONE_APP, 403, "GET /api/ledger", ""),
        (ONE_APP, 200, "GET /api/ledger?app=1", ""),
        (ONE_APP, 403, "GET /api/ledger?app=2", ""),
        (ONE_APP, 403, "GET /api/deliveries", ""),
        (ONE_APP, 403, "GET /api/deliveries?app=2", ""),
        (ONE_APP, 403, "GET /api/apps/2/quarantine", ""),
        (ONE_APP, 403, "GET /api/apps/unknown/quarantine", ""),
        (ONE_APP, 403, "GET /api/apps/2/events", ""),
        (ONE_APP, 403, "POST /apps", r#"{"name":"x","platform":"iOS"}"#),
    ];
    for (key, status, line, body) in rows {
        let answer = server.call(key, line, Some(body.to_owned())).await;
        assert_eq!(answer.status, status, "{key} {line}: {}", answer.body);
    }
    let apps = server.call(ONE_APP, "GET /apps", None).await.body;
    assert_eq!(apps.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_app_is_made_shown_changed_and_deleted() {
    let server = Server::start().await;
    let body =
        json!({ "name": "Demo Shop!", "platform": "ios", "sku": "s-1", "twilio_basic_auth": "hidden" });
    let app = server.expect(201, "POST /apps", body).await;
    assert_eq!((&app["id"], &app["platform"], &app["sku"]), (&json!(1), &json!("iOS"), &json!("s-1")));
    assert!(app["guid"].as_str().unwrap().starts_with("kodemo-shop-"));
    assert_eq!(app["twilio_basic_auth"], Value::Null, "secrets are never shown");
    assert_eq!(server.get("/apps/1").await.body, app);
    assert_eq!(server.get("/apps").await.body, json!([app]));

    let changed = server.expect(200, "PATCH /apps/1", json!({ "name": "Shop", "custom": [1] })).await;
    assert_eq!(
        (&changed["name"], &changed["custom"], &changed["sku"]),
        (&json!("Shop"), &json!([1]), &json!("s-1"))
    );

    server.expect(200, "DELETE /apps/1", Value::Null).await;
    let guid = app["guid"].as_str().unwrap();
    let again = json!({ "name": "x", "platform": "iOS", "guid": guid });
    let rows = [
        (404, "GET /apps/1", ""),
        (404, "PATCH /apps/1", "{}"),
        (404, "DELETE /apps/1", ""),
        (404, "GET /apps/none", ""),
        (409, "POST /apps", &again.to_string()),
    ];
    table(&server, &rows).await;
    assert_eq!(server.get("/apps").await.body, json!([]));
}

#[tokio::test]
async fn apps_that_make_no_sense_are_refused() {
    let rows = [
        (400, "POST /apps", ""),
        (400, "POST /apps", "[]"),
        (400, "POST /apps", "{"),
        (400, "POST /apps", r#"{"platform":"iOS"}"#),
        (400, "POST /apps", r#"{"name":" ","platform":"iOS"}"#),
        (400, "POST /apps", r#"{"name":5,"platform":"iOS"}"#),
        (400, "POST /apps", r#"{"name":"x"}"#),
        (400, "POST /apps", r#"{"name":"x","platform":"Toaster"}"#),
        (400, "POST /apps", r#"{"name":"x","platform":"iOS","guid":"a b"}"#),
        (400, "POST /apps", r#"{"name":"x","platform":"iOS","install_auth":{"mode":"hard"}}"#),
        (400, "POST /apps", r#"{"name":"x","platform":"iOS","install_auth":{"actions":["x"]}}"#),
        (400, "POST /apps", r#"{"name":"x","platform":"iOS","install_auth":{"typo":1}}"#),
        (400, "POST /apps", r#"{"name":"x","platform":"Web","install_auth":{"mode":"strict"}}"#),
        (201, "POST /apps", r#"{"name":"x","platform":"Web","install_auth":{"mode":"flag"}}"#),
        (400, "PATCH /apps/1", r#"{"install_auth":{"mode":"strict"}}"#),
        (400, "PATCH /apps/1", r#"{"guid":"another"}"#),
        (400, "PATCH /apps/1", r#"{"name":""}"#),
        (400, "GET /apps?pageToken=0", ""),
    ];
    table(&Server::start().await, &rows).await;
}

#[tokio::test]
async fn a_generated_secret_is_shown_once_and_kept_sealed() {
    let server = Server::start().await;
    let body = json!({ "name": "x", "platform": "iOS", "install_auth": { "mode": "strict" } });
    let app = server.expect(201, "POST /apps", body).await;
    let secret = app["install_auth"]["secret"].as_str().unwrap().to_owned();
    assert!(secret.len() >= 32 && app["install_auth"]["api_key"].is_string());
    assert_eq!(server.get("/apps/1").await.body["install_auth"]["secret"], Value::Null);
    let patched = server.expect(200, "PATCH /apps/1", json!({ "name": "y" })).await;
    assert_eq!(patched["install_auth"]["secret"], Value::Null);

    let catalogue = server.site.catalogue.current();
    let sealed = catalogue.app(AppId(1)).unwrap().auth.secret.clone().unwrap();
    assert!(!String::from_utf8_lossy(&sealed.0).contains(&secret));
    assert_eq!(server.site.vault.open(&sealed), Some(secret.into_bytes()));
    assert_eq!(Vault::with_key([8; 32]).open(&sealed), None);
}

#[tokio::test]
async fn settings_of_apps_have_ranges() {
    let server = Server::with_tracker().await;
    let check = async |name: &str, value: Value, expected: Option<Value>| {
        let answer = server.send("PATCH /apps/1", json!({ "settings": { name: value } })).await;
        match expected {
            Some(shown) => {
                assert_eq!(answer.status, 200, "{name}: {}", answer.body);
                let found = answer.body["settings"].get(name).cloned().unwrap_or_default();
                assert_eq!(found, shown, "{name}");
            }
            None => assert_eq!(answer.status, 400, "{name} {value}"),
        }
    };
    check("schemes", json!(["Demo", "com.example.shop://"]), Some(json!(["demo", "com.example.shop"]))).await;
    check("schemes", Value::Null, Some(Value::Null)).await;
    check("schemes", json!("demo"), None).await;
    check("schemes", json!(["javascript"]), None).await;
    check("schemes", json!(vec!["a"; 17]), None).await;
    check("attribution.windows.click_device", json!("30d"), Some(json!(2_592_000))).await;
    check("attribution.windows.click_device", json!(60), Some(json!(60))).await;
    check("attribution.windows.click_device", json!("disabled"), Some(json!("disabled"))).await;
    check("attribution.windows.click_device", Value::Null, Some(Value::Null)).await;
    check("attribution.windows.click_device", json!(59), None).await;
    check("attribution.windows.click_modeled", json!(2_592_001), None).await;
    check("attribution.windows.impression_device", json!("24h"), Some(json!(86_400))).await;
    check("attribution.windows.impression_modeled", json!("25h"), None).await;
    check("attribution.windows.impression_modeled", json!(-5), None).await;
    for (name, most) in [
        ("attribution.windows.click_device", 2_592_000),
        ("attribution.windows.click_modeled", 2_592_000),
        ("attribution.windows.click_ip", 2_592_000),
        ("attribution.windows.click_partial_ip", 2_592_000),
        ("attribution.windows.impression_device", 86_400),
        ("attribution.windows.impression_modeled", 86_400),
        ("attribution.windows.impression_ip", 86_400),
        ("attribution.windows.impression_partial_ip", 86_400),
        ("attribution.equalizer", 2_592_000),
    ] {
        check(name, json!(60), Some(json!(60))).await;
        check(name, json!(most), Some(json!(most))).await;
        check(name, json!("disabled"), Some(json!("disabled"))).await;
        check(name, json!(59), None).await;
        check(name, json!(most + 1), None).await;
        let answer = server.send("PATCH /apps/1", json!({ "settings": { name: most + 1 } })).await;
        let text = answer.body.to_string();
        assert!(text.contains(name) && text.contains("(60) to") && text.contains(&most.to_string()));
        check(name, Value::Null, Some(Value::Null)).await;
    }
    check("attribution.windows.impression_device", json!("24h"), Some(json!(86_400))).await;
    for name in [
        "attribution.device_impressions_first",
        "attribution.limit_ad_tracking_fallback",
        "attribution.prioritize_completed_view",
        "attribution.impressions",
        "attribution.refuse_ambiguous",
        "attribution.referrer_begin_time",
        "attribution.prioritize_clicked_impressions",
        "consent.att_from_idfa",
    ] {
        check(name, json!(true), Some(json!(true))).await;
        check(name, json!(false), Some(json!(false))).await;
        check(name, json!("yes"), None).await;
    }
    for name in ["attribution.referrer_click_id_key", "attribution.referrer_campaign_id_key"] {
        check(name, json!("sx_click.id-1"), Some(json!("sx_click.id-1"))).await;
        check(name, json!(""), None).await;
        check(name, json!("a b"), None).await;
        check(name, json!("x".repeat(65)), None).await;
        check(name, json!(1), None).await;
        check(name, Value::Null, Some(Value::Null)).await;
    }
    check("attribution.referrer_click_id_key", json!("utm_campaign"), None).await;
    for value in ["standard", "ip_only", "ip_range"] {
        check("attribution.fingerprint_level", json!(value), Some(json!(value))).await;
    }
    check("attribution.fingerprint_level", json!("ip"), None).await;
    for value in ["standard", "inclusive"] {
        check("attribution.device_attribution", json!(value), Some(json!(value))).await;
    }
    check("attribution.device_attribution", json!(1), None).await;
    check("tracking.accept_click_time", json!(true), Some(json!(true))).await;
    check("tracking.accept_click_time", json!("yes"), None).await;
    check("attribution.clock_skew", json!("1500ms"), Some(json!("1500ms"))).await;
    check("attribution.clock_skew", json!(3_601), None).await;
    check("postbacks.hold_install", json!(600), Some(json!(600))).await;
    check("postbacks.hold_install", json!("11m"), None).await;
    check("limits.app_requests_per_second", json!(10), Some(json!(10))).await;
    check("no.such_setting", json!(1), None).await;
    let catalogue = server.site.catalogue.current();
    let app = catalogue.app(AppId(1)).unwrap();
    assert_eq!(app.policy.windows.impression_device, Some(Window::Seconds(86_400)));
    assert!(catalogue.policy_of(app).accept_click_time);
}

/// Whatever lies outside is refused with the name of the setting and what it may be.
#[tokio::test]
async fn a_refused_setting_names_its_range() {
    let server = Server::with_tracker().await;
    let (clicks, impressions) = ("from 1 minute (60) to 30 days (2592000)", "to 24 hours (86400)");
    let true_or_false = "must be true or false";
    let key = "must have 1 to 64 letters, digits";
    let cases = [
        ("attribution.windows.click_device", json!(59), clicks),
        ("attribution.windows.click_modeled", json!("31d"), clicks),
        ("attribution.windows.click_ip", json!(1), clicks),
        ("attribution.windows.click_partial_ip", json!(2_592_001), clicks),
        ("attribution.windows.impression_device", json!("25h"), impressions),
        ("attribution.windows.impression_modeled", json!(86_401), impressions),
        ("attribution.windows.impression_ip", json!(0), impressions),
        ("attribution.windows.impression_partial_ip", json!(-1), impressions),
        ("attribution.equalizer", json!("31d"), clicks),
        ("attribution.clock_skew", json!(3_601), "from 0 to 3600 seconds"),
        ("ingest.hold", json!("31d"), "from 0 to 2592000 seconds"),
        ("postbacks.hold_install", json!(601), "from 0 to 600 seconds"),
        ("limits.app_requests_per_second", json!(-1), "0 (no limit) to 4294967295"),
        ("attribution.device_attribution", json!("loose"), "one of standard, inclusive"),
        ("attribution.fingerprint_level", json!("ip"), "one of standard, ip_only, ip_range"),
        ("attribution.referrer_click_id_key", json!("a b"), key),
        ("attribution.referrer_campaign_id_key", json!(""), key),
        ("tracking.accept_click_time", json!("yes"), true_or_false),
        ("attribution.modeled_without_att", json!(1), true_or_false),
        ("attribution.modeled_single_use", json!(1), true_or_false),
        ("attribution.device_impressions_first", json!(1), true_or_false),
        ("attribution.limit_ad_tracking_fallback", json!(1), true_or_false),
        ("attribution.prioritize_completed_view", json!(1), true_or_false),
        ("attribution.impressions", json!(1), true_or_false),
        ("attribution.refuse_ambiguous", json!(1), true_or_false),
        ("attribution.referrer_begin_time", json!(1), true_or_false),
        ("postbacks.forward_installs", json!(1), true_or_false),
    ];
    for (name, value, words) in cases {
        let mut places = vec!["PATCH /apps/1"];
        if name.starts_with("attribution.windows.") {
            places.extend(["PATCH /networks/1001", "PATCH /apps/1/networks/1001"]);
        }
        for place in places {
            let answer = server.send(place, json!({ "settings": { name: value } })).await;
            let text = answer.body["errors"][0].as_str().unwrap_or_default().to_owned();
            assert_eq!(answer.status, 400, "{place} {name} {value}");
            assert!(text.starts_with(name) && text.contains(words), "{place} {name} {value}: {text}");
        }
    }
    for (name, value, words) in [
        ("device_id_lookback_window", 59, clicks),
        ("fingerprint_lookback_window", 2_592_001, clicks),
        ("ip_lookback_window", 59, clicks),
        ("impression_lookback_device", 86_401, impressions),
        ("impression_lookback_fingerprint", 59, impressions),
        ("impression_lookback_ip", 86_401, impressions),
        ("impression_lookback_partial_ip", 86_401, impressions),
    ] {
        let body = json!({ name: { "key": name, "value": value } });
        let answer = server.send("POST /tracker/override?id=1", body).await;
        let text = answer.body["errors"][0].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer.status, 400, "{name} {value}");
        assert!(text.starts_with(name) && text.contains(words), "{name} {value}: {text}");
    }
}

#[tokio::test]
async fn many_apps_come_in_pages() {
    let server = Server::start().await;
    for n in 0..51 {
        server.expect(201, "POST /apps", json!({ "name": format!("a{n}"), "platform": "iOS" })).await;
    }
    let check = async |token: &str, rows: usize, next: Value, previous: Value| {
        let page = server.get(&format!("/apps?pageToken={token}")).await.body;
        assert_eq!(page["data"].as_array().unwrap().len(), rows, "{token}");
        assert_eq!((&page["nextToken"], &page["previousToken"]), (&next, &previous), "{token}");
    };
    check("1", 50, json!("2"), Value::Null).await;
    check("2", 1, Value::Null, json!("1")).await;
    check("9", 0, Value::Null, json!("2")).await;
    assert_eq!(server.get("/apps").await.body.as_array().unwrap().len(), 51);
    let short = server.get("/apps?app_selector=true").await.body;
    assert_eq!(short[0].as_object().unwrap().len(), 4);
}

#[tokio::test]
async fn networks_have_numbers_of_their_own_and_windows() {
    let server = Server::with_tracker().await;
    let all = server.get("/networks").await.body;
    assert_eq!((&all[0]["id"], &all[0]["name"]), (&json!(1), &json!("Apple Search Ads")));
    assert_eq!((&all[1]["id"], &all[1]["name"]), (&json!(1001), &json!("Blue")));
    let settings = json!({ "settings": { "attribution.windows.click_device": "2h" }, "color": "blue" });
    let network = server.expect(200, "PATCH /networks/1001", settings).await;
    assert_eq!(network["settings"]["attribution.windows.click_device"], json!(7_200));
    assert_eq!(server.get("/networks/1001").await.body, network);
    let rows = [
        (400, "POST /networks", "{}"),
        (400, "PATCH /networks/1001", r#"{"settings":{"ingest.hold":1}}"#),
        (404, "GET /networks/77", ""),
        (404, "PATCH /networks/77", "{}"),
        (409, "DELETE /networks/1", ""),
        (409, "DELETE /networks/1001", ""),
        (200, "DELETE /tracker/1/delete/1", ""),
        (200, "DELETE /networks/1001", ""),
        (404, "GET /networks/1001", ""),
    ];
    table(&server, &rows).await;
}

#[tokio::test]
async fn campaigns_and_segments_are_kept_as_they_come() {
    let server = Server::with_tracker().await;
    let body = json!({ "name": "Summer", "source": "web", "date_end": "", "budget_max": 10 });
    let campaign = server.expect(201, "POST /campaign/1", body).await;
    assert_eq!((&campaign["id"], &campaign["app_id"]), (&json!("2"), &json!("1")));
    assert_eq!((&campaign["type"], &campaign["date_end"]), (&json!("type_url_forward"), &Value::Null));
    let changed = json!({ "id": "2", "name": "Sun", "source": "api", "date_created": 1, "app_id": "9" });
    let changed = server.expect(200, "POST /campaign/1", changed).await;
    assert_eq!((&changed["name"], &changed["source"]), (&json!("Sun"), &json!("web")));
    assert_eq!((&changed["date_created"], &changed["app_id"]), (&campaign["date_created"], &json!("1")));
    let stats = server.get("/campaign/1?stats=true").await.body;
    assert_eq!((&stats[0]["number_of_trackers"], &stats[0]["number_of_tiers"]), (&json!(1), &json!(1)));
    assert_eq!(server.get("/campaign/1?stats=false").await.body[0].get("number_of_tiers"), None);
    assert_eq!(server.call(KEY, "HEAD /campaign/1/1", None).await.status, 200);

    let segment =
        server.expect(200, "POST /tier/1", json!({ "id": 1, "name": "AT", "target_geo": "AT" })).await;
    assert_eq!((&segment["id"], &segment["campaign_id"]), (&json!("1"), &json!("1")));
    assert_eq!(server.get("/tier/1").await.body, json!([segment]));
    assert_eq!(server.get("/tier/1/1").await.body, segment);
    let rows = [
        (400, "POST /campaign/1", "{}"),
        (404, "POST /campaign/1", r#"{"id":"9"}"#),
        (404, "POST /campaign/9", r#"{"name":"x"}"#),
        (404, "GET /campaign/9", ""),
        (404, "GET /campaign/1/9", ""),
        (404, "HEAD /campaign/1/9", ""),
        (400, "POST /tier/1", "{}"),
        (404, "POST /tier/9", r#"{"name":"x"}"#),
        (404, "GET /tier/9", ""),
        (404, "GET /tier/2/1", ""),
        (409, "DELETE /tier/1/delete/1", ""),
        (409, "DELETE /campaign/1/delete/1", ""),
        (404, "DELETE /campaign/1/delete/9", ""),
        (404, "DELETE /tier/1/delete/9", ""),
        (200, "DELETE /tracker/1/delete/1", ""),
        (200, "DELETE /tier/1/delete/1", ""),
        (404, "GET /tier/1/1", ""),
        (200, "DELETE /campaign/1/delete/1", ""),
        (404, "GET /campaign/1/1", ""),
    ];
    for (status, line, body) in rows {
        let body = (!body.is_empty()).then(|| body.to_owned());
        assert_eq!(server.call(KEY, line, body).await.status, status, "{line}");
    }
}

#[tokio::test]
async fn a_tracker_has_links() {
    let server = Server::with_tracker().await;
    let tracker = server.get("/tracker/1/1").await.body;
    let guid = tracker["guid"].as_str().unwrap();
    let link = format!("http://127.0.0.1:8080/v1/cpi/click?campaign_id={guid}&network_id=1001");
    assert_eq!(tracker["click_tracking_url"], json!(link));
    let link = format!("http://127.0.0.1:8080/track/impression?campaign_id={guid}&network_id=1001");
    assert_eq!(tracker["imp_tracking_url"], json!(link));
    assert_eq!((&tracker["network_name"], &tracker["tier_name"]), (&json!("Blue"), &json!("DE")));
    assert_eq!((&tracker["network_price"], &tracker["is_active"]), (&json!(1.5), &json!(true)));

    // A client may send the whole object back.
    assert_eq!(server.expect(200, "POST /tracker/1", tracker.clone()).await, tracker);
    let changed = json!({ "id": 1, "name": "New", "destination_data": { "type": "landing_page" } });
    let changed = server.expect(200, "POST /tracker/1", changed).await;
    assert_eq!((&changed["name"], &changed["guid"]), (&json!("New"), &tracker["guid"]));
}

#[tokio::test]
async fn trackers_are_found_by_their_fields() {
    let server = Server::with_tracker().await;
    let mut second = tracker();
    second["name"] = json!("Other");
    second["is_active"] = json!(false);
    server.expect(201, "POST /tracker/1/create", second).await;
    let check = async |filter: &str, rows: usize| {
        let found = server.get(&format!("/tracker/1?{filter}")).await.body;
        assert_eq!(found.as_array().map(Vec::len), Some(rows), "{filter}: {found}");
    };
    check("", 2).await;
    check("campaign_id=1", 2).await;
    check("name=Other", 1).await;
    check("is_active=true", 1).await;
    check("network_id=1001&is_active=false", 1).await;
    check("tier_id=9", 0).await;
    assert_eq!(server.get("/tracker/1?color=red").await.status, 400);
}

#[tokio::test]
async fn trackers_that_make_no_sense_are_refused() {
    let server = Server::with_tracker().await;
    server.expect(201, "POST /apps", json!({ "name": "Other", "platform": "Android" })).await;
    let check = async |field: &str, value: Value, status: u16| {
        let mut body = tracker();
        body[field] = value;
        let answer = server.send("POST /tracker/1/create", body.clone()).await;
        assert_eq!(answer.status, status, "{field} {}: {}", body[field], answer.body);
    };
    check("name", Value::Null, 400).await;
    check("campaign_id", json!("9"), 400).await;
    check("campaign_id", json!("x"), 400).await;
    check("tier_id", json!(9), 400).await;
    check("network_id", json!(9), 400).await;
    check("network_id", json!("1"), 201).await;
    check("destination_url", Value::Null, 400).await;
    check("destination_url", json!("apps.example.com"), 400).await;
    check("destination_url", json!("javascript:alert(1)"), 400).await;
    check("destination_url", json!("https://{host}/"), 400).await;
    check("destination_url", json!("https://a b/"), 400).await;
    check("destination_url", json!("https://good@evil.example/"), 400).await;
    check("destination_url", json!("market://details?id=com.example"), 201).await;
    check("destination_url", json!("market:details?id=com.example"), 400).await;
    check("destination_url", json!("demo://shop/{item}"), 400).await;
    check("destination_url_reengagement", json!("javascript:1"), 400).await;
    check("destination_url_reengagement", json!("demo://shop"), 201).await;
    let schemes = json!({ "settings": { "schemes": ["demo://"] } });
    assert_eq!(server.send("PATCH /apps/1", schemes).await.body["settings"]["schemes"], json!(["demo"]));
    check("destination_url", json!("demo://shop/{item}"), 201).await;
    let rows = [
        (404, "GET /tracker/9", ""),
        (404, "GET /tracker/1/99", ""),
        (404, "GET /tracker/2/1", ""),
        (400, "POST /tracker/1", r#"{"name":"x"}"#),
        (404, "POST /tracker/1", r#"{"id":99}"#),
        (404, "POST /tracker/2", r#"{"id":1}"#),
        (404, "DELETE /tracker/1/delete/99", ""),
        (200, "DELETE /tracker/1/delete/1", ""),
        (404, "DELETE /tracker/1/delete/1", ""),
    ];
    table(&server, &rows).await;
}

#[tokio::test]
async fn overrides_set_windows() {
    let server = Server::with_tracker().await;
    let path = "/tracker/override?id=1";
    let blank = server.get(path).await.body;
    // The nine of the incumbent, and one of ours.
    assert_eq!(blank["tracker_overrides"][0].as_object().unwrap().len(), 10);
    let check = async |name: &str, key: &str, value: u64, status: u16| {
        let body = json!({ "tracker_overrides": { name: { "key": key, "value": value } } });
        let answer = server.send(&format!("POST {path}"), body).await;
        assert_eq!(answer.status, status, "{name} {value}: {}", answer.body);
        server.site.catalogue.current().tracker(measure::TrackerId(1)).unwrap().windows
    };
    let set = check("device_id_lookback_window", "device_id_lookback_window", 3_600, 200).await;
    assert_eq!(set.click_device, Some(Window::Seconds(3_600)));
    let set = check("device_id_lookback_window", "", 0, 200).await;
    assert_eq!(set.click_device, None);
    let set = check("fingerprint_lookback_window", "x", 0, 200).await;
    assert_eq!(set.click_modeled, Some(Window::Disabled));
    let set = check("impressions_disable_attribution", "x", 1, 200).await;
    assert_eq!(set.impression_device, Some(Window::Disabled));
    check("impression_lookback_device", "x", 86_401, 400).await;
    check("ip_lookback_window", "x", 5, 400).await;
    let set = check("impression_lookback_ip", "x", 300, 200).await;
    assert_eq!(set.impression_ip, Some(Window::Seconds(300)));
    let set = check("impression_lookback_partial_ip", "x", 300, 200).await;
    assert_eq!(set.impression_partial_ip, Some(Window::Seconds(300)));
    let set = check("ip_lookback_window", "x", 300, 200).await;
    assert_eq!((set.click_ip, set.click_partial_ip), (Some(Window::Seconds(300)), None));
    let shown = server.get(path).await.body;
    assert_eq!(shown["tracker_overrides"][0]["ip_lookback_window"]["value"], json!(300));
    assert!(server.get("/tracker/1/1").await.body.get("sx_overrides").is_none());
    let rows = [
        (404, "GET /tracker/override?id=99", ""),
        (400, "GET /tracker/override", ""),
        (400, "POST /tracker/override?id=1", r#"{"ip_lookback_window":3}"#),
    ];
    table(&server, &rows).await;
}

fn trigger(kind: &str, filter: &str) -> Value {
    json!({
        "app_id": 1, "type": kind, "title": "To partner", "template_id": 3373, "filter_str": filter,
        "context": {
            "cpi_mostback_url": "https://partner.example/pb?cid={click_id}", "deferred_for": 30000,
            "unknown": "1", "gone": null,
        },
    })
}

#[tokio::test]
async fn a_trigger_is_made_shown_switched_on_and_deleted() {
    let server = Server::with_tracker().await;
    let made = server.expect(201, "POST /postbacks", trigger("event", "Purchase")).await;
    for (key, value) in [("success", json!(true)), ("errors", json!([])), ("nextToken", Value::Null)] {
        assert_eq!(made[key], value, "{key}");
    }
    let one = &made["data"][0];
    assert_eq!((&one["id"], &one["app_id"], &one["active"]), (&json!(1), &json!(1), &json!(false)));
    assert_eq!(
        one["context"],
        json!({
            "cpi_mostback_url": "https://partner.example/pb?cid={click_id}", "deferred_for": 30000,
            "unknown": "1",
        })
    );
    assert_eq!(server.get("/apps/1/postbacks").await.body["data"], json!([one]));
    assert_eq!(server.get("/apps/1/postbacks/1").await.body["data"], json!([one]));

    let change = json!({ "active": true, "title": "New", "context": { "unknown": null, "more": true } });
    let changed = server.expect(200, "PATCH /postbacks/1", change).await;
    let changed = &changed["data"][0];
    assert_eq!((&changed["active"], &changed["title"]), (&json!(true), &json!("New")));
    assert_eq!(changed["context"].get("unknown"), None);
    assert_eq!(
        (&changed["context"]["more"], &changed["context"]["deferred_for"]),
        (&json!(true), &json!(30000))
    );
    assert_eq!(server.site.catalogue.current().trigger(measure::TriggerId(1)).unwrap().version, 2);

    assert_eq!(server.expect(200, "DELETE /postbacks/1", Value::Null).await, Value::Null);
    assert_eq!(server.get("/apps/1/postbacks").await.body["data"], json!([]));
    let rows = [
        (404, "GET /apps/1/postbacks/1", ""),
        (404, "PATCH /postbacks/1", "{}"),
        (404, "DELETE /postbacks/1", ""),
    ];
    table(&server, &rows).await;
}

#[tokio::test]
async fn a_pending_postback_outlives_the_switch_but_not_its_trigger() {
    let server = Server::with_tracker().await;
    server.expect(201, "POST /postbacks", trigger("install", "")).await;
    let mut pending = store::conformance::sample::delivery(1, clock::now());
    (pending.app, pending.trigger) = (AppId(1), measure::TriggerId(1));
    pending.request.url = "https://me:hidden@partner.example/pb?at=a@b:c".to_owned();
    server.site.store.commit(&store::Batch { deliveries: vec![pending], ..Default::default() }).unwrap();
    server.expect(200, "PATCH /postbacks/1", json!({ "active": false })).await;
    let check = async |state: &str, reason: Value| {
        let found = server.get(&format!("/api/deliveries?app=1&state={state}")).await.body;
        assert_eq!(found["data"][0]["reason"], reason, "{state}: {found}");
        assert_eq!(found["data"].as_array().map(Vec::len), Some(1), "{state}");
        assert_eq!(found["data"][0]["url"], json!("https://me:***@partner.example/pb?at=a@b:c"));
    };
    check("pending", Value::Null).await;
    server.expect(200, "DELETE /postbacks/1", Value::Null).await;
    check("suppressed", json!("trigger_deleted")).await;
    let ledger = server.get("/api/ledger").await.body;
    assert_eq!(ledger["postbacks"]["suppressed"], json!({ "trigger_deleted": 1 }));
}

#[tokio::test]
async fn only_triggers_with_a_filter_show_one() {
    let server = Server::with_tracker().await;
    let filters = [("install", "", None), ("event", "", None), ("event", "Purchase ", Some("Purchase "))];
    for (kind, filter, shown) in filters {
        let made = server.expect(201, "POST /postbacks", trigger(kind, filter)).await;
        assert_eq!(made["data"][0].get("filter_str").and_then(Value::as_str), shown, "{kind} {filter}");
    }
}

#[tokio::test]
async fn triggers_that_make_no_sense_are_refused_in_the_envelope() {
    let server = Server::with_tracker().await;
    server.expect(201, "POST /postbacks", trigger("install", "")).await;
    server.expect(201, "POST /apps", json!({ "name": "Other", "platform": "Android" })).await;
    let check = async |field: &str, value: Value| {
        let mut body = trigger("click", "");
        body[field] = value;
        let answer = server.send("POST /postbacks", body.clone()).await;
        assert_eq!(answer.status, 400, "{field} {}: {}", body[field], answer.body);
        assert_eq!(answer.body.as_object().unwrap().len(), 8, "the envelope: {}", answer.body);
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    };
    for line in ["PUT /postbacks", "GET /postbacks/1", "DELETE /apps/1/postbacks", "GET /apps/9/postbacks"] {
        let answer = server.call(KEY, line, None).await.body;
        assert_eq!(answer.as_object().map(serde_json::Map::len), Some(8), "the envelope: {line} {answer}");
    }
    check("app_id", Value::Null).await;
    check("app_id", json!(99)).await;
    check("type", json!("session")).await;
    check("template_id", Value::Null).await;
    check("active", json!("on")).await;
    check("context", json!({})).await;
    check("context", json!([])).await;
    check("context", json!({ "cpi_mostback_url": "ftp://partner.example/" })).await;
    check("context", json!({ "cpi_mostback_url": "https://{click_id}/" })).await;
    let rows = [
        (405, "PUT /postbacks", "{}"),
        (405, "GET /postbacks/1", ""),
        (405, "POST /apps/1/postbacks", "{}"),
        (404, "GET /apps/9/postbacks", ""),
        (404, "GET /apps/1/postbacks/9", ""),
        (404, "GET /apps/2/postbacks/1", ""),
        (404, "PATCH /postbacks/9", "{}"),
        (400, "PATCH /postbacks/1", r#"{"type":"event"}"#),
        (400, "PATCH /postbacks/1", r#"{"context":{"cpi_mostback_url":null}}"#),
        (200, "PATCH /postbacks/1", r#"{"type":"install","app_id":"1","filter_str":""}"#),
    ];
    table(&server, &rows).await;
}

#[tokio::test]
async fn repeated_triggers_are_conflicts() {
    for (setting, status) in [("409", 409), ("400", 400)] {
        let server = Server::with(&[("publisher_api.duplicate_status", setting)]).await;
        server.expect(201, "POST /apps", json!({ "name": "Demo", "platform": "iOS" })).await;
        for kind in ["install", "click", "event"] {
            server.expect(201, "POST /postbacks", trigger(kind, "a")).await;
            let body = server.expect(status, "POST /postbacks", trigger(kind, "a")).await;
            assert_eq!(body["errors"], json!(["Duplicate postback"]));
        }
        server.expect(201, "POST /postbacks", trigger("event", "b")).await;
        server.expect(status, "POST /postbacks", trigger("install", "b")).await;
    }
}

#[tokio::test]
async fn bodies_have_limits() {
    let server = Server::start().await;
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(300_000));
    assert_eq!(server.call(KEY, "POST /networks", Some(large)).await.status, 413);
    let held = server.site.edge.hold_bodies();
    let answer = server.send("POST /networks", json!({ "name": "x" })).await;
    assert_eq!((answer.status, answer.headers.contains_key(header::RETRY_AFTER)), (503, true));
    drop(held);
    assert_eq!(server.send("POST /networks", json!({ "name": "x" })).await.status, 201);
}

#[tokio::test]
async fn the_catalogue_survives_and_versions_count_on() {
    let server = Server::with_tracker().await;
    let before = server.site.catalogue.current().version;
    let opened = CatalogueService::open(server.site.store.clone()).unwrap();
    assert!(!opened.fresh);
    assert_eq!(opened.service.current().version, before);
    opened.service.prepare(clock::now(), Policy::default(), None).await.unwrap();
    assert_eq!(opened.service.current().version, before, "nothing changed, nothing is recorded");
    let other = Policy { accept_click_time: true, ..Policy::default() };
    opened.service.prepare(clock::now(), other, None).await.unwrap();
    assert_eq!(opened.service.current().version, before + 1);
    assert_eq!(opened.service.current().policy, other);
}

#[tokio::test]
async fn gzip_is_told_by_its_first_bytes() {
    let server = Server::start().await;
    let check = async |plain: &[u8], cut: usize, status: u16| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        let mut body = encoder.finish().unwrap();
        body.truncate(body.len() - cut);
        let request = Request::post("/networks").header("Authentication-Key", KEY).body(Body::from(body));
        let response = server.router.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{} bytes", plain.len());
    };
    check(br#"{"name":"x"}"#, 0, 201).await;
    check(br#"{"name":"x"}"#, 9, 400).await;
    check(&vec![b' '; 300_000], 0, 413).await;
    let all = server.site.config.limits.bodies_in_flight;
    let held = server.site.edge.hold_bodies();
    assert_eq!(held.num_permits(), all as usize, "what bodies took is given back");
}

#[tokio::test]
async fn slow_senders_are_told_so() {
    let server = Server::with(&[("limits.body_timeout", "50ms")]).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(axum::serve(listener, server.router.clone()).into_future());
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let head = format!("POST /networks HTTP/1.1\r\nhost: a\r\nauthentication-key: {KEY}\r\n");
        stream
            .write_all(format!("{head}connection: close\r\ncontent-length: 9\r\n\r\n{{").as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    assert!(answer.await.unwrap().starts_with("HTTP/1.1 408 "));
    serving.abort();
}

/// Where the description lies for whoever reads the repository and makes clients from it. `make bless` writes it.
const DESCRIPTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi.json");

#[tokio::test]
async fn the_description_in_the_repository_is_the_one_that_is_served() {
    let request = Request::get("/openapi.json").body(Body::empty()).unwrap();
    let answer = Server::start().await.router.oneshot(request).await.unwrap();
    let served = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    if std::env::var_os("OPENAPI_BLESS").is_some() {
        std::fs::write(DESCRIPTION, &served).unwrap();
    }
    let kept = std::fs::read(DESCRIPTION).unwrap_or_default();
    assert!(served == kept, "openapi.json is not current: run `make bless` and look at what changed");
}
