//! Laws that hold for whatever anybody sends.

use measure::{
    catalogue::DestinationKind,
    engagement::EngagementKind,
    identifier::{IdKind, Identifier},
};
use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value, json};
use wire::{
    link::read,
    s2s::{Endpoint, elements, parse},
};

use crate::world::{app, edge, link_edge, occurs, tracker};

/// Keys that mean something, so that arbitrary values reach every reader.
const KEYS: [&str; 36] = [
    "action",
    "kochava_app_id",
    "kochava_device_id",
    "data",
    "device_ids",
    "device_id",
    "device_id_type",
    "device_hash_method",
    "origination_ip",
    "device_ua",
    "device_ver",
    "app_version",
    "usertime",
    "event_name",
    "event_data",
    "event_value",
    "currency",
    "app_tracking_transparency",
    "att",
    "att_time",
    "gdpr_privacy_consent",
    "device_limit_tracking",
    "iad_attribution_details",
    "Version3.1",
    "adservices_attribution_details",
    "install_referrer",
    "referrer",
    "conversion_data",
    "utm_source",
    "identity_link",
    "sdk_version",
    "idfa",
    "idfv",
    "adid",
    "sum",
    "custom",
];

fn key() -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::sample::select(&KEYS[..]).prop_map(str::to_owned), 1 => any::<String>()]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(
            &["install", "event", "1", "iPhone-iOS-13.6", "utm_source%3Dx", "%", "WebTracker 3"][..]
        )
        .prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((key(), inner), 0..8).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    vec((key(), value()), 0..10).prop_map(|entries| entries.into_iter().collect())
}

/// Parses every element of a body at both addresses, for two platforms.
fn parse_all(body: &[u8]) -> Vec<wire::s2s::Parsed> {
    let mut parsed = Vec::new();
    for element in elements(body).map(|body| body.elements).unwrap_or_default().iter().flatten() {
        let _ = (element.masked(), element.body_hash(), element.is_web_sdk());
        for endpoint in [Endpoint::TrackJson, Endpoint::IdentityLink] {
            for platform in ["iOS", "Android"] {
                parsed.extend(parse(endpoint, element, &app(platform), &edge()));
            }
        }
    }
    parsed
}

/// One of the ways in which people write an identifier.
fn spelled(idfa: &str, way: u8) -> String {
    let text = if way & 1 == 0 { idfa.to_uppercase() } else { idfa.to_lowercase() };
    let text = if way & 2 == 0 { text } else { text.replace('-', "") };
    match way >> 2 & 3 {
        0 => text,
        1 => format!("x{text}y{text}"),
        2 => text.replace('-', "%2D"),
        _ => format!("{text} and more"),
    }
}

/// Puts `text` somewhere into the value.
fn plant(value: &mut Value, text: &str, mut at: usize) {
    match value {
        Value::Object(entries) => {
            at %= entries.len() + 1;
            match entries.iter_mut().nth(at) {
                Some((_, inner)) => plant(inner, text, at / 2),
                None => {
                    entries.insert(text.to_owned(), json!(1));
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            at %= items.len();
            plant(&mut items[at], text, at / 2);
        }
        other => *other = json!(text),
    }
}

/// Whether the value stands as the vendor's id somewhere: then it is no IDFA, and is kept.
fn is_vendor_id(idfa: &str, value: &Value) -> bool {
    let digits = |text: &str| text.replace('-', "").to_lowercase();
    match value {
        Value::Object(entries) => entries.iter().any(|(key, inner)| {
            let is_own = inner.as_str().is_some_and(|text| digits(text) == digits(idfa));
            is_own && key.eq_ignore_ascii_case("idfv") || is_vendor_id(idfa, inner)
        }),
        Value::Array(items) => items.iter().any(|item| is_vendor_id(idfa, item)),
        _ => false,
    }
}

fn uuid() -> impl Strategy<Value = String> {
    "[1-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
}

/// Objects of texts whose keys a form can carry.
fn form_object() -> impl Strategy<Value = Value> {
    let leaf = any::<String>().prop_map(Value::from);
    let inner = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Value::from),
            vec(("[a-z_]{1,6}", inner), 1..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    });
    vec(("[a-z_]{1,6}", inner), 1..5).prop_map(|entries| Value::Object(entries.into_iter().collect()))
}

fn form_pairs(path: &str, value: &Value, form: &mut form_urlencoded::Serializer<'_, String>) {
    let inner = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}[{key}]") };
    match value {
        Value::Object(entries) => {
            entries.iter().for_each(|(key, value)| form_pairs(&inner(key), value, form))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| form_pairs(&inner(&at.to_string()), value, form));
        }
        leaf => {
            form.append_pair(path, leaf.as_str().unwrap());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), start in 0_usize..4) {
        let body = [&b"{[\x1f"[..start.min(3)], &bytes].concat();
        parse_all(&body);
    }

    #[test]
    fn arbitrary_values_never_panic(root in object(), data in object(), action in 0_usize..5) {
        let mut root = root;
        let actions = ["install", "event", "update", "identityLink", "else"];
        root.insert("action".into(), actions[action].into());
        root.insert("kochava_app_id".into(), "k".into());
        root.insert("data".into(), Value::Object(data));
        parse_all(Value::Object(root).to_string().as_bytes());
    }

    #[test]
    fn arbitrary_queries_never_panic(query in any::<String>(), keys in vec((key(), any::<String>()), 0..8)) {
        let pairs = form_urlencoded::Serializer::new(String::new()).extend_pairs(keys).finish();
        let tracker = tracker(DestinationKind::Custom, "https://example.com/{idfa}");
        for query in [query, pairs] {
            let link = read(&query);
            let _ = link.engagement(EngagementKind::Click, &tracker, &app("iOS"), &link_edge());
            let _ = (link.tracker_guid(), link.is_server_call());
        }
    }

    #[test]
    fn elements_keep_their_text(objects in vec(object(), 1..5), space in "[ \n\t]{0,3}") {
        let texts: Vec<String> = objects.into_iter().map(|object| Value::Object(object).to_string()).collect();
        let body = format!("{space}[{space}{}{space}]{space}", texts.join(&format!("{space},{space}")));
        let taken = elements(body.as_bytes()).unwrap();
        prop_assert!(taken.is_array);
        let found: Vec<&str> = taken.elements.iter().map(|element| element.as_ref().unwrap().text()).collect();
        prop_assert_eq!(found, texts.iter().map(String::as_str).collect::<Vec<_>>());
        let alone = elements(format!("{space}{}{space}", texts[0]).as_bytes()).unwrap();
        prop_assert_eq!(alone.elements[0].as_ref().unwrap().text(), &texts[0]);
    }

    #[test]
    fn a_form_means_the_same_as_json(object in form_object()) {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form_pairs("", &object, &mut form);
        let taken = elements(form.finish().as_bytes()).unwrap();
        let text = taken.elements[0].as_ref().unwrap().text().to_owned();
        prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), object);
    }

    #[test]
    fn a_form_parses_as_its_json(action in 0_usize..2, ids in vec(("idfv|adid|custom", "[a-z0-9]{1,9}"), 0..3), sum in 1_u32..999) {
        let ids: Map<String, Value> = ids.into_iter().map(|(key, id)| (key, id.into())).collect();
        let action = ["install", "event"][action];
        let object = json!({"action": action, "kochava_app_id": "k", "data": {
            "device_ids": ids, "event_name": "e", "event_data": {"sum": sum.to_string()}, "usertime": "1760000000"}});
        let mut form = form_urlencoded::Serializer::new(String::new());
        form_pairs("", &object, &mut form);
        let from_form = parse_all(form.finish().as_bytes());
        let from_json = parse_all(object.to_string().as_bytes());
        prop_assert_eq!(from_form.len(), 2);
        for (form, json) in from_form.iter().zip(&from_json) {
            prop_assert_eq!(&form.payload, &json.payload);
        }
    }

    #[test]
    fn a_forbidden_idfa_occurs_nowhere(
        idfa in uuid(), root in object(), data in object(), action in 0_usize..4,
        plants in vec((any::<u8>(), any::<usize>(), any::<bool>()), 0..6),
    ) {
        let action = ["install", "event", "update", "identityLink"][action];
        let (mut root, mut data) = (Value::Object(root), Value::Object(data));
        for (way, at, in_root) in plants {
            plant(if in_root { &mut root } else { &mut data }, &spelled(&idfa, way), at);
        }
        root["action"] = action.into();
        root["kochava_app_id"] = "k".into();
        root["kochava_device_id"] = "SX-1".into();
        data["event_name"] = "e".into();
        data["identity_link"]= json!({"user_id": "u"});
        data["device_ids"] = json!({"idfa": &idfa});
        data["app_tracking_transparency"] = json!({"att": false});
        // Android and its like have no IDFA.
        data["device_ua"] = "x".into();
        data["device_ver"] = "iPhone-iOS-17.1".into();
        root["data"] = data;
        prop_assume!(!is_vendor_id(&idfa, &root));
        let taken = elements(root.to_string().as_bytes()).unwrap();
        let element = taken.elements[0].as_ref().unwrap();
        if let Ok(parsed) = parse(Endpoint::TrackJson, element, &app("iOS"), &edge()) {
            let everything = format!("{parsed:?}");
            prop_assert!(!occurs(&idfa, &everything), "{everything}");
        }
        prop_assert!(!occurs(&idfa, &element.masked()), "masked: {}", element.masked());
    }

    #[test]
    fn a_looked_up_idfa_is_not_kept(idfa in uuid(), way in 0_u8..4, string in any::<bool>()) {
        let written = spelled(&idfa, way);
        let device = if string { json!(written) } else { json!({"IDFA": written}) };
        let body = json!({"kochava_app_id": "k", "device_id": device, "data": {"user_id": "u", "copy": written}});
        let taken = elements(body.to_string().as_bytes()).unwrap();
        let parsed = parse(Endpoint::IdentityLink, taken.elements[0].as_ref().unwrap(), &app("iOS"), &edge()).unwrap();
        let everything = format!("{parsed:?}");
        prop_assert!(!occurs(&idfa, &everything), "{everything}");
        let expected = Identifier::new(IdKind::Idfa, &idfa).as_ref().map(Into::into);
        let measure::input::Payload::Link(link) = parsed.payload else { panic!("no link") };
        prop_assert_eq!(link.idfa, expected);
    }

    #[test]
    fn a_refused_idfa_leaves_no_trace_of_a_link(idfa in uuid(), ways in vec(("[a-z_0-9]{1,8}", any::<u8>()), 0..6)) {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (key, way) in &ways {
            form.append_pair(key, &spelled(&idfa, *way));
        }
        let query = form.append_pair("idfa", &idfa).append_pair("att", "0").finish();
        let tracker = tracker(DestinationKind::Custom, "https://example.com/");
        let (click, _) = read(&query).engagement(EngagementKind::Click, &tracker, &app("iOS"), &link_edge());
        let everything = format!("{click:?}");
        prop_assert!(!occurs(&idfa, &everything), "{everything}");
    }

    #[test]
    fn a_destination_never_leaves_its_host(
        values in vec(("a|b|c", prop_oneof![any::<String>(), Just("//evil.example".to_owned()), Just("@evil.example".to_owned()), Just("\r\nLocation: x".to_owned())]), 0..5),
        url in prop::sample::select(&[
            "https://shop.example.com{a}", "https://shop.example.com/{a}", "https://shop.example.com?x={a}&y={b}#{c}",
            "https://{a}/x", "https://shop.example.com:{a}", "https://{b}@shop.example.com/{a}", "{a}://shop.example.com/",
            "https://shop.example.com/{a}{b}{c}", "https:/{a}/shop.example.com", "sextantdemo://{a}/{b}", "market://details?id={a}",
        ][..]),
        kind in prop::sample::select(&[DestinationKind::Custom, DestinationKind::GoogleReferrer, DestinationKind::LandingPage][..]),
    ) {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(values).finish();
        let click = "clk_0199d3a0c0f97d3ea1b2c3d4e5f60718".parse().unwrap();
        if let Some(url) = read(&query).destination(&tracker(kind, url), &app("iOS"), None, click) {
            let is_fixed = ["https://shop.example.com/", "market://details?"].iter().any(|start| url.starts_with(start));
            // Under the app's own scheme a value may stand in the place of the host, and no more than there.
            let own = url.strip_prefix("sextantdemo://").and_then(|rest| rest.split_once('/'));
            let is_own = own.is_some_and(|(host, _)| host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            let is_fixed = is_fixed || is_own;
            prop_assert!(is_fixed && url.bytes().all(|b| b.is_ascii_graphic()), "{url}");
        }
    }
}
