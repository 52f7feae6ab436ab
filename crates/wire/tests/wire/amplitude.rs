//! Amplitude's events and identifications, field by field.

use measure::{
    event::{Event, Value},
    flag::Flag,
    input::Payload,
    link::IdentityLink,
    source::{IgnoreReason, Mapping, SourceKind, Streams},
    user::Operation,
};
use proptest::prelude::*;
use wire::{
    amplitude::{Endpoint, Problem, Unusable, upload},
    s2s::Parsed,
};

use crate::world::{IDFA, RECEIVED, app, edge, named, occurs};

const ALL: Streams = Streams { installs: true, events: true };

fn mapping() -> Mapping {
    Mapping::of(SourceKind::Amplitude).unwrap()
}

fn parsed_at(endpoint: Endpoint, body: &str) -> Parsed {
    let upload = upload(body.as_bytes(), "", endpoint).unwrap();
    let call = upload.calls.into_iter().next().unwrap().unwrap();
    call.parse(&mapping(), ALL, &app("iOS"), &edge()).unwrap()
}

fn parsed(event: &str) -> Parsed {
    parsed_at(Endpoint::HttpApi, &format!(r#"{{"api_key":"k","events":[{event}]}}"#))
}

/// An event of `device-1` whose other entries are given, without braces.
fn event(rest: &str) -> (Event, Parsed) {
    let comma = if rest.is_empty() { "" } else { "," };
    let parsed = parsed(&format!(r#"{{"event_type":"watch_tutorial","device_id":"device-1"{comma}{rest}}}"#));
    match parsed.payload.clone() {
        Payload::Event(event) => (event, parsed),
        other => panic!("not an event: {other:?}"),
    }
}

fn link(parsed: Parsed) -> IdentityLink {
    match parsed.payload {
        Payload::Link(link) => link,
        other => panic!("not a link: {other:?}"),
    }
}

fn wrong(event: &str) -> Unusable {
    let body = format!(r#"{{"api_key":"k","events":[{event}]}}"#);
    upload(body.as_bytes(), "", Endpoint::HttpApi).unwrap().calls.remove(0).unwrap_err()
}

#[test]
fn the_fields_of_an_event() {
    let (event, _) = event(
        r#""user_id":"user-42","time":1760000000123,"event_properties":{"load_time":0.8371,"dates":["monday"]},
        "app_version":"2.1.3","platform":"Android","os_name":"Android","os_version":"14","device_model":"Pixel 8",
        "country":"de","language":"German","ip":"203.0.113.9","adid":"1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed",
        "android_id":"9774d56d682e549c","idfa":"AEBE52E7-03EE-455A-B3C4-E57283966239","session_id":1760000000000"#,
    );
    assert_eq!(event.name, "watch_tutorial");
    assert_eq!(event.time.millis(), 1_760_000_000_123);
    assert_eq!(event.params[0], ("load_time".to_owned(), Value::Number("0.8371".to_owned())));
    let origin = &event.origin;
    assert_eq!(origin.kochava_device_id.as_deref(), Some("device-1"));
    let ids = [("adid", "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"), ("android_id", "9774d56d682e549c")];
    assert_eq!(named(&origin.identifiers), ids);
    assert_eq!(origin.traits.os_text(), "Android 14");
    assert_eq!(origin.traits.model.as_deref(), Some("Pixel 8"));
    assert_eq!(origin.app_version.as_deref(), Some("2.1.3"));
    assert_eq!(origin.country.as_deref(), Some("DE"));
    assert_eq!(origin.ip, Some("203.0.113.9".parse().unwrap()));
    assert!(event.extra.contains(&("language".to_owned(), Value::Text("German".to_owned()))));
    assert!(event.extra.contains(&("session_id".to_owned(), Value::Number("1760000000000".to_owned()))));
}

#[test]
fn revenue_is_price_times_quantity_or_what_is_said() {
    let check = |rest: &str, amount: Option<&str>| {
        let (event, parsed) = event(rest);
        assert_eq!(event.amount.map(|amount| amount.to_string()).as_deref(), amount, "{rest}");
        assert!(!parsed.flags.contains(&Flag::AmountInvalid), "{rest}");
    };
    check(r#""price":4.99,"quantity":3"#, Some("14.97"));
    check(r#""price":4.99"#, Some("4.99"));
    check(r#""price":4.99,"quantity":3,"revenue":-1.99"#, Some("14.97"));
    check(r#""revenue":-1.99"#, Some("-1.99"));
    check(r#""quantity":3"#, None);
    check(r#""event_properties":{"$price":2.5,"$quantity":2,"$productId":"a"}"#, Some("5.0"));
    check(r#""event_properties":{"$revenue":9}"#, Some("9"));
    check("", None);
    let (bought, _) = event(r#""price":4.99,"productId":"sku-1","revenueType":"Refund","currency":"EUR""#);
    assert_eq!(bought.currency.as_deref(), Some("EUR"));
    assert!(bought.extra.contains(&("productId".to_owned(), Value::Text("sku-1".to_owned()))));
    assert!(bought.extra.contains(&("revenueType".to_owned(), Value::Text("Refund".to_owned()))));
}

#[test]
fn the_address_may_be_that_of_the_connection() {
    assert_eq!(event(r#""ip":"$remote""#).0.origin.ip, Some("192.0.2.1".parse().unwrap()));
    assert_eq!(event("").0.origin.ip, None);
}

#[test]
fn an_idfa_without_permission_is_nowhere() {
    let rest = format!(
        r#""platform":"iOS","os_name":"ios","os_version":"17.0","idfa":"{IDFA}","idfv":"3D5F0B1E-6C2A-4E57-9E0B-7A1C2D3E4F50",
        "user_properties":{{"ad":"{IDFA}"}}"#
    );
    let (refused, parsed) = event(&rest);
    assert!(parsed.flags.contains(&Flag::IdfaDroppedAttMissing));
    assert!(!occurs(IDFA, &parsed.body) && !occurs(IDFA, &format!("{refused:?}")));
    let (allowed, _) = event(&format!(r#"{rest},"event_properties":{{"att":"authorized"}}"#));
    assert_eq!(named(&allowed.origin.identifiers)[0], ("idfa", IDFA));
}

#[test]
fn installs_are_those_of_the_mapping() {
    let parsed = parsed(
        r#"{"event_type":"[Amplitude] Application Installed","device_id":"device-1","user_id":"user-42"}"#,
    );
    let Payload::Install(install) = parsed.payload else { panic!() };
    assert_eq!(install.origin.kochava_device_id.as_deref(), Some("device-1"));
    assert_eq!(install.origin.user.len(), 1);
}

#[test]
fn operations_in_the_order_written() {
    let properties = r#"{"$set":{"cohort":"Test A","gone":null},"$setOnce":{"start":"2015-10-01"},"$add":{"friends":3},
        "$append":{"interests":"Music"},"$prepend":{"sports":["Tennis","Golf"]},"$unset":{"old":"-"},
        "$preInsert":{"a":1},"$postInsert":{"b":1},"$remove":{"c":1}}"#;
    let names = "user_id=$set cohort=$set gone=$unset start=$setOnce friends=$add interests=$append sports=$prepend \
        old=$unset a=$preInsert b=$postInsert c=$remove";
    let verb = |operation: &Operation| match operation {
        Operation::ClearAll => "$clearAll",
        Operation::Set(..) => "$set",
        Operation::SetOnce(..) => "$setOnce",
        Operation::Add(..) => "$add",
        Operation::Append(..) => "$append",
        Operation::Prepend(..) => "$prepend",
        Operation::Unset(..) => "$unset",
        Operation::PreInsert(..) => "$preInsert",
        Operation::PostInsert(..) => "$postInsert",
        Operation::Remove(..) => "$remove",
    };
    let said = |link: IdentityLink| {
        let one =
            |operation: &Operation| format!("{}={}", operation.name().unwrap_or_default(), verb(operation));
        link.user.iter().map(one).collect::<Vec<_>>().join(" ")
    };
    let body = format!(r#"{{"user_id":"user-42","device_id":"device-1","user_properties":{properties}}}"#);
    let identified = link(parsed(&format!(r#"{{"event_type":"$identify",{}"#, &body[1..])));
    assert_eq!(identified.kochava_device_id.as_deref(), Some("device-1"));
    assert_eq!(said(identified), names);
    let form = |body: &str| form_urlencoded(&[("api_key", "k"), ("identification", body)]);
    assert_eq!(said(link(parsed_at(Endpoint::Identify, &form(&body)))), names);
    assert_eq!(said(link(parsed_at(Endpoint::Identify, &form(&format!("[{body}]"))))), names);
    assert_eq!(
        said(link(parsed_at(Endpoint::Identify, &format!(r#"{{"api_key":"k","identification":[{body}]}}"#)))),
        names
    );
    let cleared = r#"{"user_id":"user-42","user_properties":{"$set":{"a":1},"$clearAll":"-"}}"#;
    assert_eq!(said(link(parsed_at(Endpoint::Identify, &form(cleared)))), "user_id=$set =$clearAll a=$set");
    let plain = r#"{"user_id":"user-42","user_properties":{"age":25,"interests":["chess"]}}"#;
    assert_eq!(
        said(link(parsed_at(Endpoint::Identify, &form(plain)))),
        "user_id=$set age=$set interests=$set"
    );
}

fn form_urlencoded(pairs: &[(&str, &str)]) -> String {
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    pairs.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect::<Vec<_>>().join("&")
}

#[test]
fn groups_have_no_place_here() {
    let group = r#"{"group_type":"org","group_value":"1234","group_properties":{"plan":"pro"}}"#;
    for parsed in [
        parsed_at(Endpoint::GroupIdentify, &form_urlencoded(&[("api_key", "k"), ("identification", group)])),
        parsed(r#"{"event_type":"$groupidentify","groups":{"org":"1234"},"group_properties":{}}"#),
    ] {
        let Payload::Ignored(ignored) = parsed.payload else { panic!() };
        assert_eq!(ignored.reason, IgnoreReason::NothingToKeep);
    }
}

#[test]
fn forms_and_queries_carry_the_same() {
    let event = r#"{"event_type":"A","device_id":"device-1"}"#;
    for body in [
        form_urlencoded(&[("api_key", "k"), ("event", event)]),
        form_urlencoded(&[("api_key", "k"), ("event", &format!("[{event}]"))]),
    ] {
        let Payload::Event(parsed) = parsed_at(Endpoint::HttpApi, &body).payload else { panic!() };
        assert_eq!(parsed.name, "A");
    }
    let query = form_urlencoded(&[("api_key", "k"), ("identification", r#"{"device_id":"device-1"}"#)]);
    assert_eq!(upload(b"", &query, Endpoint::Identify).unwrap().api_key, "k");
}

#[test]
fn requests_are_refused_with_the_documented_reasons() {
    let check = |body: &str, endpoint: Endpoint, problem: Problem| {
        assert_eq!(upload(body.as_bytes(), "", endpoint).unwrap_err(), problem, "{body}");
    };
    check("", Endpoint::HttpApi, Problem::MissingBody);
    check("nonsense", Endpoint::HttpApi, Problem::InvalidJson);
    check("{", Endpoint::Batch, Problem::InvalidJson);
    check(r#"{"events":[{}]}"#, Endpoint::HttpApi, Problem::MissingField("api_key"));
    check(r#"{"api_key":"","events":[{}]}"#, Endpoint::HttpApi, Problem::MissingField("api_key"));
    check(r#"{"api_key":"k"}"#, Endpoint::HttpApi, Problem::MissingField("events"));
    check(r#"{"api_key":"k","events":[]}"#, Endpoint::HttpApi, Problem::MissingField("events"));
    check("api_key=k", Endpoint::Identify, Problem::MissingField("identification"));
    check("api_key=k&identification=%7B", Endpoint::Identify, Problem::InvalidJson);
    let many = format!(r#"{{"api_key":"k","events":[{}{{}}]}}"#, "{},".repeat(2_000));
    check(&many, Endpoint::Batch, Problem::TooMany);
}

#[test]
fn events_are_refused_by_field() {
    let check = |event: &str, missing: &[&str], invalid: &[&str], short: &[&str]| {
        let wrong = wrong(event);
        let fields = (wrong.missing.as_slice(), wrong.invalid.as_slice(), wrong.short.as_slice());
        assert_eq!(fields, (missing, invalid, short), "{event}");
    };
    check(r#"{"device_id":"device-1"}"#, &["event_type"], &[], &[]);
    check(r#"{"event_type":"A"}"#, &["device_id"], &[], &[]);
    check(r#"{"event_type":"","device_id":"device-1"}"#, &[], &["event_type"], &[]);
    check(r#"{"event_type":"[Amplitude] Revenue","device_id":"device-1"}"#, &[], &["event_type"], &[]);
    check(r#"{"event_type":"A","device_id":"device-1","time":"2025-10-09T08:53:20Z"}"#, &[], &["time"], &[]);
    check(r#"{"event_type":"A","device_id":"device-1","revenue":"much"}"#, &[], &["revenue"], &[]);
    check(
        r#"{"event_type":"A","device_id":"device-1","event_properties":7}"#,
        &[],
        &["event_properties"],
        &[],
    );
    check(
        r#"{"event_type":"A","device_id":"00000000-0000-0000-0000-000000000000"}"#,
        &[],
        &["device_id"],
        &[],
    );
    check(r#"{"event_type":"A","user_id":"anonymous"}"#, &[], &["user_id"], &[]);
    check(r#"{"event_type":"A","device_id":{}}"#, &[], &["device_id"], &[]);
    check(r#"{"event_type":"A","user_id":"u-1"}"#, &[], &[], &["user_id"]);
    check("7", &[], &["event"], &[]);
}

#[test]
fn short_ids_are_taken_out_unless_the_sender_says_otherwise() {
    let (event, _) = event(r#""user_id":"u-1""#);
    assert_eq!(event.origin.user, []);
    let body =
        r#"{"api_key":"k","options":{"min_id_length":1},"events":[{"event_type":"A","user_id":"u-1"}]}"#;
    let Payload::Event(event) = parsed_at(Endpoint::Batch, body).payload else { panic!() };
    assert_eq!(event.origin.kochava_device_id.as_deref(), Some("u-1"));
}

#[test]
fn a_wrong_clock_is_corrected_by_the_time_of_the_upload() {
    let at = |time: i64, uploaded: &str| {
        let body = format!(
            r#"{{"api_key":"k","client_upload_time":"{uploaded}","events":[{{"event_type":"A","device_id":"device-1","time":{time}}}]}}"#
        );
        match parsed_at(Endpoint::HttpApi, &body).payload {
            Payload::Event(event) => event.time.millis(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(at(RECEIVED * 1_000 - 5_000, "2025-10-10T12:40:00Z"), RECEIVED * 1_000 - 5_000);
    assert_eq!(at(1_704_067_200_000, "2024-01-01T00:10:00Z"), RECEIVED * 1_000 - 600_000);
}

#[test]
fn the_quarantine_shows_nobody() {
    let wrong = wrong(
        r#"{"user_id":"user-42","device_id":"device-1","ip":"203.0.113.5","user_properties":{"email":"a@example.com"}}"#,
    );
    for secret in ["user-42", "device-1", "203.0.113.5", "a@example.com"] {
        assert!(!wrong.masked.contains(secret), "{secret} in {}", wrong.masked);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused(body in "\\PC{0,200}", shape in 0_usize..4) {
        let body = match shape {
            0 => body,
            1 => format!(r#"{{"api_key":"k","events":[{body}]}}"#),
            2 => format!(r#"{{"api_key":"k","events":[{{"event_type":"A","device_id":"device-1","user_properties":{body}}}]}}"#),
            _ => format!("api_key=k&identification={body}"),
        };
        for endpoint in [Endpoint::HttpApi, Endpoint::Batch, Endpoint::Identify, Endpoint::GroupIdentify] {
            let calls = upload(body.as_bytes(), "", endpoint).map(|upload| upload.calls).unwrap_or_default();
            for call in calls.into_iter().flatten() {
                let _ = call.parse(&mapping(), ALL, &app("iOS"), &edge());
            }
        }
    }
}
