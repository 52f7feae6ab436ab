//! A small world for the tests: apps, a tracker, a user agent parser that knows three families.

use measure::{
    AppId, CampaignId, NetworkId, SegmentId, Timestamp, TrackerId,
    catalogue::{App, DestinationKind, InstallAuth, Tracker},
    event::Event,
    identifier::Identifier,
    input::Payload,
    install::Install,
    link::{IdentityLink, Update},
    platform::{Os, Traits},
    policy::{AppPolicy, Windows},
};
use wire::{
    link::LinkEdge,
    refusal::Refusal,
    s2s::{Edge, Endpoint, Parsed, elements, parse},
};

pub const IDFA: &str = "7C9E6679-7425-40DE-944B-E07FC1F90AE7";
pub const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148";
pub const PIXEL: &str = "Mozilla/5.0 (Linux; Android 14; Pixel 8 Pro) Chrome/126.0.0.0 Mobile";
/// When everything is received: 2025-10-10T12:40:00Z, epoch seconds.
pub const RECEIVED: i64 = 1_760_100_000;

pub fn app(platform: &str) -> App {
    App {
        id: AppId(1),
        guid: "kosextant-demo-ab12cd".to_owned(),
        name: "Demo".to_owned(),
        platform: platform.to_owned(),
        referrer: measure::referrer::ReferrerKeys::default(),
        auth: InstallAuth::default(),
        policy: AppPolicy::default(),
        created: Timestamp(0),
        updated: Timestamp(0),
        deleted: false,
        extra: String::new(),
        schemes: vec!["sextantdemo".to_owned()],
        minimum_times: std::collections::BTreeMap::new(),
        browser: measure::catalogue::BrowserSettings::default(),
    }
}

pub fn tracker(destination: DestinationKind, url: &str) -> Tracker {
    Tracker {
        id: TrackerId(7),
        guid: "kosextant-demo-t1".to_owned(),
        app: AppId(1),
        campaign: CampaignId(2),
        segment: SegmentId(3),
        network: NetworkId(4),
        name: "Demo".to_owned(),
        destination_url: url.to_owned(),
        destination,
        windows: Windows::default(),
        created: Timestamp(0),
        deleted: false,
        extra: String::new(),
        reengagement: None,
        omit_sub_os_version: false,
        verification: None,
    }
}

/// Tells iPhones, Androids, Fire tablets and Windows apart.
pub fn traits_of(user_agent: &str) -> Traits {
    let after = |mark: &str| user_agent.split_once(mark).map(|(_, rest)| rest);
    let word = |text: &str| text.split([' ', ';', ')']).next().unwrap_or_default().to_owned();
    if let Some(rest) = after("iPhone OS ") {
        let version = word(rest).replace('_', ".");
        Traits { os: Some(Os::Ios), os_version: Some(version), model: Some("iPhone".to_owned()) }
    } else if let Some(rest) = after("Android ") {
        let model =
            rest.split_once("; ").map(|(_, model)| model.split(')').next().unwrap_or_default().to_owned());
        Traits { os: Some(Os::Android), os_version: Some(word(rest)), model }
    } else if let Some(rest) = after("FireOS; ") {
        Traits { os: Some(Os::FireOs), os_version: None, model: rest.strip_suffix(')').map(str::to_owned) }
    } else if after("Windows").is_some() {
        Traits { os: Os::named("windows"), ..Traits::default() }
    } else {
        Traits::default()
    }
}

pub fn edge() -> Edge<'static> {
    Edge {
        received: Timestamp::from_seconds(RECEIVED),
        ip: Some("192.0.2.1".parse().unwrap()),
        user_agent: Some(IPHONE),
        traits_of: &traits_of,
    }
}

pub fn link_edge() -> LinkEdge<'static> {
    LinkEdge {
        received: Timestamp::from_seconds(RECEIVED),
        ip: Some("192.0.2.1".parse().unwrap()),
        user_agent: Some(IPHONE),
        accept_click_time: true,
        traits_of: &traits_of,
    }
}

/// Parses the only element of a body on `/track/json`.
pub fn try_on(platform: &str, body: &str) -> Result<Parsed, Refusal> {
    let body = elements(body.as_bytes())?;
    parse(Endpoint::TrackJson, body.elements[0].as_ref().map_err(Clone::clone)?, &app(platform), &edge())
}

pub fn on(platform: &str, body: &str) -> Parsed {
    try_on(platform, body).unwrap()
}

/// An install on an iOS app whose `data` is given.
pub fn install(data: &str) -> (Install, Parsed) {
    install_on("iOS", data)
}

pub fn install_on(platform: &str, data: &str) -> (Install, Parsed) {
    let body = format!(r#"{{"action":"install","kochava_app_id":"kosextant-demo-ab12cd","data":{data}}}"#);
    let parsed = on(platform, &body);
    match parsed.payload.clone() {
        Payload::Install(install) => (install, parsed),
        other => panic!("not an install: {other:?}"),
    }
}

/// An event named `x` whose other `data` is given, without braces.
pub fn event(data: &str) -> (Event, Parsed) {
    let comma = if data.is_empty() { "" } else { "," };
    let body = format!(
        r#"{{"action":"event","kochava_app_id":"kosextant-demo-ab12cd","kochava_device_id":"SX-1","data":{{"event_name":"x"{comma}{data}}}}}"#
    );
    let parsed = on("iOS", &body);
    match parsed.payload.clone() {
        Payload::Event(event) => (event, parsed),
        other => panic!("not an event: {other:?}"),
    }
}

/// An update whose root entries besides action and app are given.
pub fn update(rest: &str) -> (Update, Parsed) {
    let parsed = on("iOS", &format!(r#"{{"action":"update","kochava_app_id":"k",{rest}}}"#));
    match parsed.payload.clone() {
        Payload::Update(update) => (update, parsed),
        other => panic!("not an update: {other:?}"),
    }
}

/// An identity link on `identityLink.php`, its root entries besides the app given.
pub fn try_identity_link(platform: &str, rest: &str) -> Result<(IdentityLink, Parsed), Refusal> {
    let body = elements(format!(r#"{{"kochava_app_id":"k",{rest}}}"#).as_bytes())?;
    let element = body.elements[0].as_ref().map_err(Clone::clone)?;
    let parsed = parse(Endpoint::IdentityLink, element, &app(platform), &edge())?;
    match parsed.payload.clone() {
        Payload::Link(link) => Ok((link, parsed)),
        other => panic!("not a link: {other:?}"),
    }
}

/// Whether a text holds the value in one of its four plain forms.
pub fn occurs(value: &str, text: &str) -> bool {
    let bare: String = value.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    [value, &bare]
        .iter()
        .any(|form| text.contains(&form.to_uppercase()) || text.contains(&form.to_lowercase()))
}

/// Identifiers as pairs of kind and value.
pub fn named(identifiers: &[Identifier]) -> Vec<(&str, &str)> {
    identifiers.iter().map(|identifier| (identifier.kind.name(), identifier.value.as_str())).collect()
}
