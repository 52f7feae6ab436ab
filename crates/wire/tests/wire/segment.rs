//! Segment's calls, field by field.

use measure::{
    Timestamp,
    event::{Event, Value},
    flag::Flag,
    input::Payload,
    install::Install,
    link::IdentityLink,
    source::{Choice, IgnoreReason, Mapping, SourceKind, Streams},
    user::Operation,
};
use proptest::prelude::*;
use wire::{
    refusal::Refusal,
    s2s::Parsed,
    segment::{Form, Kind, calls, is_signed},
};

use crate::world::{IDFA, RECEIVED, app, edge, named, occurs};

const ALL: Streams = Streams { installs: true, events: true };
const IDFV: &str = "3D5F0B1E-6C2A-4E57-9E0B-7A1C2D3E4F50";

fn mapping() -> Mapping {
    Mapping::of(SourceKind::Segment).unwrap()
}

fn try_with(
    mapping: &Mapping,
    streams: Streams,
    platform: &str,
    form: Form,
    body: &str,
) -> Result<Parsed, Refusal> {
    let call = calls(body.as_bytes(), form)?.remove(0)?;
    call.parse(mapping, streams, &app(platform), &edge())
}

fn parsed(platform: &str, form: Form, body: &str) -> Parsed {
    try_with(&mapping(), ALL, platform, form, body).unwrap()
}

/// A track call whose entries besides the name are given, without braces.
fn event(rest: &str) -> (Event, Parsed) {
    let comma = if rest.is_empty() { "" } else { "," };
    let parsed = parsed("iOS", Form::One(Kind::Track), &format!(r#"{{"event":"Item Viewed"{comma}{rest}}}"#));
    match parsed.payload.clone() {
        Payload::Event(event) => (event, parsed),
        other => panic!("not an event: {other:?}"),
    }
}

fn install(platform: &str, rest: &str) -> (Install, Parsed) {
    let parsed =
        parsed(platform, Form::One(Kind::Track), &format!(r#"{{"event":"Application Installed",{rest}}}"#));
    match parsed.payload.clone() {
        Payload::Install(install) => (install, parsed),
        other => panic!("not an install: {other:?}"),
    }
}

fn link(kind: Kind, rest: &str) -> (IdentityLink, Parsed) {
    let parsed = parsed("iOS", Form::One(kind), &format!("{{{rest}}}"));
    match parsed.payload.clone() {
        Payload::Link(link) => (link, parsed),
        other => panic!("not a link: {other:?}"),
    }
}

fn ignored(mapping: &Mapping, streams: Streams, kind: Kind, body: &str) -> IgnoreReason {
    match try_with(mapping, streams, "iOS", Form::One(kind), body).unwrap().payload {
        Payload::Ignored(ignored) => ignored.reason,
        other => panic!("not ignored: {other:?}"),
    }
}

/// Operations in short: `name=value` sets, `-name` unsets.
fn said(user: &[Operation]) -> String {
    let one = |operation: &Operation| match operation {
        Operation::Set(name, value) => {
            let values: Vec<&str> = value.values().iter().map(Value::text).collect();
            format!("{name}={}", values.join(","))
        }
        Operation::Unset(name) => format!("-{name}"),
        other => format!("{other:?}"),
    };
    user.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_device_of_an_iphone() {
    let body = format!(
        r#""anonymousId":"anon-1","context":{{"ip":"203.0.113.24","locale":"en-US","userAgent":"Shop/3",
        "app":{{"name":"Shop","version":"3.4.1","build":"7"}},"os":{{"name":"iOS","version":"17.5.1"}},
        "location":{{"country":"de"}},
        "device":{{"id":"{IDFV}","advertisingId":"{IDFA}","adTrackingEnabled":true,"model":"iPhone15,2",
        "manufacturer":"Apple","type":"ios","trackingStatus":"authorized"}}}}"#
    );
    let (install, parsed) = install("iOS", &body);
    let origin = &install.origin;
    assert_eq!(origin.kochava_device_id.as_deref(), Some(IDFV));
    assert_eq!(named(&origin.identifiers), [("idfa", IDFA), ("idfv", IDFV), ("anonymous_id", "anon-1")]);
    assert_eq!(origin.ip, Some("203.0.113.24".parse().unwrap()));
    assert_eq!(origin.traits.os_text(), "iOS 17.5.1");
    assert_eq!(origin.traits.model.as_deref(), Some("iPhone15,2"));
    assert_eq!(origin.user_agent.as_deref(), Some("Shop/3"));
    assert_eq!(origin.app_version.as_deref(), Some("3.4.1"));
    assert_eq!(origin.country.as_deref(), Some("DE"));
    assert_eq!(origin.consent.att.flag, Some(true));
    assert_eq!(origin.consent.att.detail.as_deref(), Some("authorized"));
    assert_eq!(origin.consent.limit_tracking, Some(false));
    assert!(install.params.contains(&("locale".to_owned(), Value::Text("en-US".to_owned()))));
    assert!(install.params.contains(&("app_name".to_owned(), Value::Text("Shop".to_owned()))));
    assert!(occurs(IDFA, &parsed.body));
}

#[test]
fn the_device_of_an_android() {
    let (install, _) = install(
        "iOS",
        r#""anonymousId":"anon-1","context":{"os":{"name":"Android","version":"14"},
        "device":{"id":"9774d56d682e549c","advertisingId":"1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed","model":"Pixel 8"}}"#,
    );
    let expected = [
        ("adid", "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"),
        ("android_id", "9774d56d682e549c"),
        ("anonymous_id", "anon-1"),
    ];
    assert_eq!(named(&install.origin.identifiers), expected);
    assert_eq!(install.origin.traits.os_text(), "Android 14");
}

#[test]
fn the_make_is_told_in_parts() {
    let check = |context: &str, model: &str, os: &str| {
        let (install, _) = install("iOS", &format!(r#""anonymousId":"anon-1","context":{context}"#));
        let traits = install.origin.traits;
        assert_eq!(
            (traits.model.as_deref().unwrap_or(""), traits.os_text().as_str()),
            (model, os),
            "{context}"
        );
    };
    check(r#"{"os":{"name":"Android"},"device":{"model":"Pixel 8"}}"#, "Pixel 8", "Android");
    check(r#"{"os":{"name":"Android"}}"#, "", "Android");
    check(r#"{"os":{"name":"Mac OS X","version":"14.4"}}"#, "", "macos 14.4");
    check(r#"{"os":{"name":"Toaster"},"device":{"model":"A1"}}"#, "A1", "iOS");
    check(r#"{"os":{"name":"Android","version":"9"},"device":{"model":"KFTRWI"}}"#, "KFTRWI", "Fire OS");
    check(r#"{"device":{"type":"android","model":"AFTMM"}}"#, "AFTMM", "Fire OS");
    check(r#"{"os":{"version":"17.5"}}"#, "", "iOS 17.5");
}

#[test]
fn an_idfa_without_permission_is_nowhere() {
    let check = |status: &str, flag: Flag| {
        let rest = format!(
            r#""anonymousId":"a-1","properties":{{"note":"{IDFA}"}},"context":{{"os":{{"name":"iOS","version":"17.0"}},
            "traits":{{"ad":"{IDFA}"}},"device":{{"advertisingId":"{IDFA}"{status}}}}}"#
        );
        let (event, parsed) = event(&rest);
        assert!(parsed.flags.contains(&flag), "{:?}", parsed.flags);
        assert!(!occurs(IDFA, &parsed.body), "{}", parsed.body);
        assert!(!occurs(IDFA, &format!("{event:?}")), "{event:?}");
    };
    check("", Flag::IdfaDroppedAttMissing);
    check(r#","adTrackingEnabled":true"#, Flag::IdfaDroppedAttMissing);
    check(r#","trackingStatus":"notDetermined""#, Flag::IdfaDroppedAttMissing);
    check(r#","trackingStatus":"denied""#, Flag::IdfaDroppedAttFalse);
    check(r#","trackingStatus":"restricted""#, Flag::IdfaDroppedAttFalse);
}

#[test]
fn a_vendor_id_in_the_place_of_the_advertising_id_is_a_vendor_id() {
    let (event, parsed) = event(&format!(
        r#""context":{{"device":{{"id":"{IDFV}","advertisingId":"{IDFV}","trackingStatus":"denied"}}}}"#
    ));
    assert_eq!(named(&event.origin.identifiers), [("idfv", IDFV)]);
    assert!(!parsed.flags.contains(&Flag::IdfaDroppedAttFalse));
}

#[test]
fn limits_of_ad_tracking() {
    for (enabled, limited) in [("true", Some(false)), ("false", Some(true)), ("null", None)] {
        let (event, _) = event(&format!(r#""context":{{"device":{{"adTrackingEnabled":{enabled}}}}}"#));
        assert_eq!(event.origin.consent.limit_tracking, limited, "{enabled}");
    }
}

#[test]
fn the_address_of_the_connection_counts_where_it_is_the_devices() {
    let check = |context: &str, ip: Option<&str>| {
        let (event, _) = event(&format!(r#""context":{{{context}}}"#));
        assert_eq!(event.origin.ip, ip.map(|ip| ip.parse().unwrap()), "{context}");
    };
    check("", None);
    check(r#""library":{"name":"@segment/analytics-node"}"#, None);
    check(r#""library":{"name":"analytics.js"}"#, Some("192.0.2.1"));
    check(r#""library":{"name":"analytics-react-native"}"#, Some("192.0.2.1"));
    check(r#""direct":true"#, Some("192.0.2.1"));
    check(r#""ip":"203.0.113.5","direct":true"#, Some("203.0.113.5"));
}

#[test]
fn apple_search_ads_in_the_field_names_of_the_document() {
    let (install, parsed) = install(
        "iOS",
        r#""anonymousId":"a-1","context":{"campaign":{"provider":"Apple","click_date":"2025-10-09T08:53:20Z",
        "conversion_date":"2025-10-09T09:00:00Z","source":"iAd","name":"Autumn","content":"sky boots",
        "ad_creative":"Sky Ltd","ad_group":"Shoes","id":"8001","ad_group_id":"9001"}}"#,
    );
    let ads = install.search_ads.unwrap();
    assert_eq!(ads.campaign_id.as_deref(), Some("8001"));
    assert_eq!(ads.campaign_name.as_deref(), Some("Autumn"));
    assert_eq!(ads.ad_group_id.as_deref(), Some("9001"));
    assert_eq!(ads.keyword.as_deref(), Some("sky boots"));
    assert_eq!(ads.click_time, Some(Timestamp::from_seconds(1_760_000_000)));
    assert!(!parsed.flags.contains(&Flag::DateManufactured));
}

#[test]
fn another_campaign_is_kept_as_a_claimed_source() {
    let campaign = r#""context":{"campaign":{"name":"Newsletter","source":"mail"}}"#;
    let (install, _) = install("iOS", campaign);
    assert_eq!(install.search_ads, None);
    let source = ("claimed_source.source".to_owned(), Value::Text("mail".to_owned()));
    assert!(install.params.contains(&source), "{:?}", install.params);
    assert!(event(campaign).0.extra.contains(&source));
}

#[test]
fn amounts_and_currencies_stand_where_the_mapping_says() {
    let check = |properties: &str, amount: Option<&str>, currency: Option<&str>, invalid: bool| {
        let (event, parsed) = event(&format!(r#""properties":{{{properties}}}"#));
        assert_eq!(event.amount.map(|amount| amount.to_string()).as_deref(), amount, "{properties}");
        assert_eq!(event.currency.as_deref(), currency, "{properties}");
        assert_eq!(parsed.flags.contains(&Flag::AmountInvalid), invalid, "{properties}");
    };
    check(r#""revenue":14.99,"currency":"EUR""#, Some("14.99"), Some("EUR"), false);
    check(r#""revenue":"14.990""#, Some("14.990"), None, false);
    check(r#""total":20,"price":5,"quantity":4"#, Some("20"), None, false);
    check(r#""revenue":9,"total":20"#, Some("9"), None, false);
    check(r#""price":5"#, None, None, false);
    check(r#""price":"five""#, None, None, false);
    check(r#""revenue":"much""#, None, None, true);
    check("", None, None, false);
}

#[test]
fn names_are_those_of_the_mapping() {
    let name = |sent: &str| {
        let body = format!(r#"{{"event":"{sent}"}}"#);
        match parsed("iOS", Form::One(Kind::Track), &body).payload {
            Payload::Event(event) => event.name,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(name("Order Completed"), "Purchase");
    assert_eq!(name("Product Added"), "Add to Cart");
    assert_eq!(name("Item Purchased"), "Item Purchased");
}

#[test]
fn pages_and_screens_are_events() {
    for (kind, name) in [(Kind::Page, "page"), (Kind::Screen, "screen")] {
        let body = r#"{"name":"Cart","category":"Shop","properties":{"path":"/cart"}}"#;
        let Payload::Event(event) = parsed("Web", Form::One(kind), body).payload else { panic!() };
        assert_eq!(event.name, name);
        assert_eq!(event.params, [("path".to_owned(), Value::Text("/cart".to_owned()))]);
        assert!(event.extra.contains(&("view_name".to_owned(), Value::Text("Cart".to_owned()))));
        assert!(event.extra.contains(&("view_category".to_owned(), Value::Text("Shop".to_owned()))));
    }
}

#[test]
fn traits_and_audiences_are_properties_of_the_user() {
    let (link, parsed) = link(
        Kind::Identify,
        &format!(
            r#""userId":"u-42","anonymousId":"a-1","traits":{{"email":"a@example.com","age":26,"vip":true,
            "likes":["ski","chess"],"gone":null,"order_completed_last_30days":false}},
            "context":{{"device":{{"id":"{IDFV}","advertisingId":"{IDFA}","trackingStatus":"authorized"}},"os":{{"name":"iOS","version":"17"}}}}"#
        ),
    );
    assert_eq!(
        said(&link.user),
        "user_id=u-42 email=a@example.com age=26 vip=true likes=ski,chess -gone order_completed_last_30days=false"
    );
    assert_eq!(link.kochava_device_id.as_deref(), Some(IDFV));
    assert_eq!(named(&link.identifiers), [("idfv", IDFV), ("anonymous_id", "a-1")]);
    assert!(link.idfa.is_some());
    assert!(!occurs(IDFA, &parsed.body), "an IDFA may be looked up and not kept: {}", parsed.body);
}

#[test]
fn alias_and_group_say_who_somebody_is() {
    let (alias, _) = link(Kind::Alias, r#""previousId":"a-1","userId":"u-42""#);
    assert_eq!(alias.kochava_device_id.as_deref(), Some("a-1"));
    assert_eq!(said(&alias.user), "user_id=u-42");
    let (group, _) = link(Kind::Group, r#""userId":"u-42","groupId":"g-7","traits":{"name":"Initech"}"#);
    assert_eq!(said(&group.user), "user_id=u-42 group_id=g-7");
}

#[test]
fn users_ride_on_events() {
    let (event, _) = event(r#""userId":"u-42","context":{"traits":{"plan":"pro"}}"#);
    assert_eq!(said(&event.origin.user), "user_id=u-42 plan=pro");
}

#[test]
fn a_source_leaves_out_what_it_does_not_take() {
    let track = r#"{"event":"Item Viewed"}"#;
    let installed = r#"{"event":"Application Installed"}"#;
    let identify = r#"{"userId":"u-42"}"#;
    let only = Mapping { events: Choice::Only(vec!["Order Completed".to_owned()]), ..mapping() };
    assert_eq!(ignored(&only, ALL, Kind::Track, track), IgnoreReason::EventNotTaken);
    let off = Streams { events: false, ..ALL };
    assert_eq!(ignored(&mapping(), off, Kind::Track, track), IgnoreReason::EventsOff);
    assert_eq!(ignored(&mapping(), off, Kind::Identify, identify), IgnoreReason::EventsOff);
    let off = Streams { installs: false, ..ALL };
    assert_eq!(ignored(&mapping(), off, Kind::Track, installed), IgnoreReason::InstallsOff);
    let nobody = Mapping { send_users: false, ..mapping() };
    assert_eq!(ignored(&nobody, ALL, Kind::Identify, identify), IgnoreReason::UsersOff);
    assert_eq!(
        ignored(&mapping(), ALL, Kind::Identify, r#"{"anonymousId":"a-1"}"#),
        IgnoreReason::NothingToKeep
    );
}

#[test]
fn a_mapping_chooses_properties_and_places() {
    let chosen = Mapping {
        event_properties: Choice::Only(vec!["sku".to_owned()]),
        user_properties: Choice::Only(vec!["plan".to_owned()]),
        identifiers: vec![("kochava_device_id".to_owned(), vec!["properties.install.id".to_owned()])],
        revenue: vec!["properties.unit*properties.count".to_owned()],
        renames: vec![("Item Viewed".to_owned(), "View".to_owned())],
        ..mapping()
    };
    let body = r#"{"event":"Item Viewed","userId":"u-1","properties":{"sku":"a","color":"red","unit":2.5,"count":3,"install":{"id":"SX-9"}},
        "context":{"traits":{"plan":"pro","email":"a@example.com"}}}"#;
    let parsed = try_with(&chosen, ALL, "iOS", Form::One(Kind::Track), body).unwrap();
    let Payload::Event(event) = parsed.payload else { panic!() };
    assert_eq!(event.name, "View");
    assert_eq!(event.params, [("sku".to_owned(), Value::Text("a".to_owned()))]);
    assert_eq!(said(&event.origin.user), "user_id=u-1 plan=pro");
    assert_eq!(event.origin.kochava_device_id.as_deref(), Some("SX-9"));
    assert_eq!(event.amount.unwrap().to_string(), "7.5");
}

#[test]
fn batches_share_key_context_and_time() {
    let body = r#"{"writeKey":"key-1","sentAt":"2025-10-10T12:40:00Z","context":{"ip":"203.0.113.5","app":{"version":"1"}},
        "batch":[{"type":"track","event":"A","messageId":"m-1"},{"type":"track","event":"B","writeKey":"key-2","context":{"app":{"version":"2"}}},
        {"type":"nonsense"},{"event":"C"},7,{"type":"track"}]}"#;
    let calls = calls(body.as_bytes(), Form::Batch).unwrap();
    let keys: Vec<_> =
        calls.iter().map(|call| call.as_ref().ok().and_then(|call| call.write_key())).collect();
    assert_eq!(keys, [Some("key-1"), Some("key-2"), None, None, None, Some("key-1")]);
    assert_eq!(calls[0].as_ref().unwrap().message_id().as_deref(), Some("m-1"));
    let event = |at: usize| {
        let parsed = calls[at].as_ref().unwrap().parse(&mapping(), ALL, &app("iOS"), &edge());
        parsed.map(|parsed| match parsed.payload {
            Payload::Event(event) => event,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(event(0).unwrap().origin.app_version.as_deref(), Some("1"));
    let second = event(1).unwrap();
    assert_eq!(second.origin.app_version.as_deref(), Some("2"));
    assert_eq!(second.origin.ip, Some("203.0.113.5".parse().unwrap()));
    assert!(event(5).unwrap_err().error.contains("event is required"));
}

#[test]
fn bodies_of_another_form_are_refused() {
    let check = |form: Form, body: &str, words: &str| {
        let refused = calls(body.as_bytes(), form).unwrap_err();
        assert_eq!(refused.status, 400, "{body}");
        assert!(refused.error.contains(words), "{body}: {}", refused.error);
    };
    check(Form::One(Kind::Track), "", "JSON");
    check(Form::One(Kind::Track), "[]", "not an object");
    check(Form::One(Kind::Track), r#"{"event":"#, "JSON");
    check(Form::Batch, "{}", "batch is required");
    check(Form::Batch, r#"{"batch":[]}"#, "empty");
    check(Form::Batch, r#"{"batch":{}}"#, "JSON");
    check(Form::Webhook, r#"{"event":"x"}"#, "type is required");
    let large = format!(r#"{{"event":"x","properties":{{"a":"{}"}}}}"#, "a".repeat(32 * 1_024));
    check(Form::One(Kind::Track), &large, "32768 bytes");
}

#[test]
fn message_ids_are_kept_short() {
    let id = |id: &str| {
        let body = format!(r#"{{"event":"x","messageId":"{id}"}}"#);
        calls(body.as_bytes(), Form::One(Kind::Track)).unwrap()[0].as_ref().unwrap().message_id().unwrap()
    };
    assert_eq!(id("ajs-next-1"), "ajs-next-1");
    let (one, other) = (id(&"a".repeat(300)), id(&"b".repeat(300)));
    assert!(one.len() == 32 && one != other);
}

#[test]
fn the_quarantine_shows_nobody() {
    let body = format!(
        r#"{{"userId":"u-42","anonymousId":"anon-1","traits":{{"email":"a@example.com","phones":["+49"]}},
        "context":{{"ip":"203.0.113.5","device":{{"id":"{IDFV}","advertisingId":"{IDFA}","model":"iPhone15,2"}}}}}}"#
    );
    let calls = calls(body.as_bytes(), Form::One(Kind::Identify)).unwrap();
    let masked = calls[0].as_ref().unwrap().masked();
    for secret in ["u-42", "anon-1", "a@example.com", "+49", "203.0.113.5", IDFV, IDFA] {
        assert!(!masked.contains(secret), "{secret} in {masked}");
    }
    assert!(masked.contains("iPhone15,2"), "{masked}");
}

#[test]
fn signatures_are_those_of_the_body_or_of_its_first_event() {
    // HMAC-SHA1 computed with another implementation, key `shared-secret`.
    let one = br#"{"type":"track","event":"A"}"#;
    let signature = "e5fa9a5f5544634797061946abfb37e34d556e80";
    let many = br#"[{"type":"track","event":"A"},{"type":"track","event":"B"}]"#;
    assert!(is_signed(one, b"shared-secret", Some(signature)));
    assert!(is_signed(one, b"shared-secret", Some(&signature.to_uppercase())));
    assert!(is_signed(many, b"shared-secret", Some("8953f18343dafca4db645b9d392ecdbabe421774")));
    assert!(
        is_signed(many, b"shared-secret", Some(signature)),
        "the platform signs the first event of a batch"
    );
    assert!(!is_signed(one, b"other", Some(signature)));
    assert!(!is_signed(br#"{"type":"track","event":"B"}"#, b"shared-secret", Some(signature)));
    for bad in [None, Some(""), Some("zz"), Some(&signature[..38])] {
        assert!(!is_signed(one, b"shared-secret", bad), "{bad:?}");
    }
}

fn time_of(form: Form, rest: &str) -> (i64, Parsed) {
    let parsed = parsed("iOS", form, &format!(r#"{{"type":"track","event":"A"{rest}}}"#));
    match &parsed.payload {
        Payload::Event(event) => (event.time.millis(), parsed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn times_are_reconciled_as_the_platform_documents() {
    let received = RECEIVED * 1_000;
    let track = Form::One(Kind::Track);
    let check = |form: Form, rest: &str, ago_s: i64, flag: Option<Flag>| {
        let (time, parsed) = time_of(form, rest);
        assert_eq!((received - time) / 1_000, ago_s, "{rest}");
        let clock = [
            Flag::ClockCorrected,
            Flag::TimeFuture,
            Flag::TimeMissing,
            Flag::TimeInvalid,
            Flag::TimeBefore2008,
        ];
        let flags: Vec<Flag> = clock.into_iter().filter(|flag| parsed.flags.contains(flag)).collect();
        assert_eq!(flags, flag.into_iter().collect::<Vec<_>>(), "{rest}");
    };
    // Received at 12:40:00.
    check(track, r#","timestamp":"2025-10-10T12:30:00Z","sentAt":"2025-10-10T12:40:00Z""#, 600, None);
    check(track, r#","timestamp":"2025-10-10T12:30:00.000Z""#, 600, None);
    check(track, r#","timestamp":"2025-10-10T14:30:00+02:00""#, 600, None);
    let off = Some(Flag::ClockCorrected);
    check(track, r#","timestamp":"2024-01-01T00:00:00Z","sentAt":"2024-01-01T00:10:00Z""#, 600, off);
    check(track, r#","timestamp":"1970-01-01T00:00:00Z","sentAt":"1970-01-01T00:10:00Z""#, 600, off);
    check(track, r#","timestamp":"2033-01-01T00:00:00Z","sentAt":"2033-01-01T00:10:00Z""#, 600, off);
    check(
        track,
        r#","originalTimestamp":"2024-01-01T00:00:00Z","timestamp":"2020-01-01T00:00:00Z","sentAt":"2024-01-01T00:10:00Z""#,
        600,
        off,
    );
    check(track, "", 0, Some(Flag::TimeMissing));
    check(track, r#","timestamp":"yesterday""#, 0, Some(Flag::TimeInvalid));
    check(track, r#","timestamp":"2033-01-01T00:00:00Z""#, 0, Some(Flag::TimeFuture));
    check(track, r#","timestamp":"2001-01-01T00:00:00Z""#, 0, Some(Flag::TimeBefore2008));
    // After Segment, `timestamp` is the corrected one.
    let sent = r#","originalTimestamp":"2020-01-01T00:00:00Z","sentAt":"2020-01-01T00:10:00Z","receivedAt":"2025-10-10T12:39:00Z""#;
    check(Form::Webhook, &format!(r#"{sent},"timestamp":"2025-10-10T12:29:00Z""#), 660, None);
    check(Form::Webhook, sent, 60, None);
}

fn iso(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap().to_string()
}

proptest! {
    #[test]
    fn a_wrong_clock_does_not_show(
        ago in 0_i64..90 * 86_400_000,
        off in -40 * 365 * 86_400_000_i64..40 * 365 * 86_400_000,
    ) {
        let received = RECEIVED * 1_000;
        let (written, sent) = (iso(received - ago + off), iso(received + off));
        let (time, _) = time_of(Form::One(Kind::Track), &format!(r#","timestamp":"{written}","sentAt":"{sent}""#));
        prop_assert_eq!(time, received - ago);
    }

    #[test]
    fn a_late_request_moves_its_times_as_documented(
        ago in 0_i64..86_400_000, late in 0_i64..86_400_000,
    ) {
        let received = RECEIVED * 1_000;
        let (written, sent) = (iso(received - late - ago), iso(received - late));
        let (time, _) = time_of(Form::One(Kind::Track), &format!(r#","timestamp":"{written}","sentAt":"{sent}""#));
        prop_assert_eq!(time, received - ago, "received - (sent - written)");
    }

    #[test]
    fn no_time_lies_in_the_future(written in any::<i32>(), sent in any::<i32>()) {
        let rest = format!(r#","timestamp":{written},"sentAt":{sent}"#);
        let (time, _) = time_of(Form::One(Kind::Track), &rest);
        prop_assert!(time <= RECEIVED * 1_000);
    }

    #[test]
    fn any_bytes_are_taken_or_refused(body in "\\PC{0,200}", shape in 0_usize..4) {
        let body = match shape {
            0 => body,
            1 => format!(r#"{{"batch":[{body}]}}"#),
            2 => format!(r#"{{"event":"x","context":{body}}}"#),
            _ => format!(r#"[{{"type":"identify","traits":{body}}}]"#),
        };
        for form in [Form::One(Kind::Track), Form::One(Kind::Identify), Form::Batch, Form::Webhook] {
            for call in calls(body.as_bytes(), form).unwrap_or_default().into_iter().flatten() {
                let _ = call.parse(&mapping(), ALL, &app("iOS"), &edge());
            }
        }
    }
}
