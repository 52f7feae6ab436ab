//! The settings of a trigger beyond URL and method, case by case (postbacks.md sections 5 and 7).

use super::*;
use crate::{catalogue::EventSwitches, consent::Consent as UserConsent, postback::Suppression, time::DAY_MS};

const URL: &str = "cpi_mostback_url=https://partner.example/pb?e={event_name}&r={revenue}&v={event_value}";

/// What becomes of a trigger with these lines in its context: the query, or why there is none.
fn outcome(world: &World, kind: TriggerKind, lines: &str) -> String {
    let mut world = world.clone();
    world.add(trigger(1, kind, lines));
    let plan = world.plan(kind);
    match (plan.deliveries.as_slice(), plan.suppressed.as_slice()) {
        ([delivery], []) => delivery.request.url.split_once('?').map_or("", |(_, query)| query).to_owned(),
        ([], [pair]) => pair.reason.name().to_owned(),
        _ => panic!("{plan:?}"),
    }
}

#[track_caller]
fn event(world: &World, setting: &str, expected: &str) {
    let told = "e=Purchase&r=19.90&v=19.90";
    let expected = if expected == "told" { told } else { expected };
    assert_eq!(outcome(world, TriggerKind::Event, &format!("{URL}\n{setting}")), expected, "{setting}");
}

#[test]
fn filters_hold_or_suppress() {
    let world = World::new();
    event(&world, "sx_filter={\"min_revenue\": 19.9}", "told");
    event(&world, "sx_filter={\"min_revenue\": \"19.91\"}", "filtered");
    event(&world, "sx_filter={\"parameters\": {\"count\": 3, \"trial\": false}}", "told");
    event(&world, "sx_filter={\"parameters\": {\"product.sku\": \"S-1\"}}", "told");
    event(&world, "sx_filter={\"parameters\": {\"count\": 4}}", "filtered");
    event(&world, "sx_filter={\"parameters\": {\"none\": 3}}", "filtered");
    event(&world, "sx_filter={\"attributed\": true}", "told");
    event(&world, "sx_filter={\"attributed\": false}", "filtered");
    event(&world, "sx_filter={\"first\": true}", "told");
    event(&world, "sx_filter={}", "told");
    let organic = World { source: None, ..world.clone() };
    event(&organic, "sx_filter={\"attributed\": true}", "filtered");
    event(&organic, "sx_filter={\"attributed\": false}", "told");
    let repeated = World { repeated: true, ..world };
    event(&repeated, "sx_filter={\"first\": true}", "filtered");
    event(&repeated, "sx_filter={\"first\": false}", "told");
}

#[test]
fn sharing_rules_are_respected_when_asked() {
    let mut world = World::new();
    event(&world, "sx_data_controlled=true\nsx_consent=true", "told");
    world.event.extra.push(("data_controlled".into(), Value::Number("1".into())));
    event(&world, "", "told");
    event(&world, "sx_data_controlled=true", "data_controlled");
    world.event.extra.clear();
    world.event.params.push(("data_controlled".into(), Value::Bool(true)));
    event(&world, "sx_data_controlled=true", "data_controlled");
    let mut world = World::new();
    world.device.consent = UserConsent { ad_user_data: Some(false), ..UserConsent::default() };
    event(&world, "", "told");
    event(&world, "sx_consent=true", "consent");
    world.origin.consent.ad_user_data = Some(true);
    event(&world, "sx_consent=true", "told");
}

#[test]
fn sessions_are_told_of_once_a_day_from_the_second_day_on() {
    let mut world = World::new();
    world.event.name = "_SessionBegin".into();
    world.event.amount = None;
    let network = "sx_network_id=7\ncpi_mostback_url=https://partner.example/?s=1";
    let mut check = |after: i64, last: Option<i64>, lines: &str, expected: &str| {
        world.event.time = INSTALLED.plus(after);
        world.last_session = last.map(|last| INSTALLED.plus(last));
        assert_eq!(outcome(&world, TriggerKind::Event, lines), expected, "{after} {last:?} {lines}");
    };
    check(DAY_MS - 1, None, network, "session_cap");
    check(DAY_MS, None, network, "s=1");
    check(2 * DAY_MS - 1, Some(DAY_MS), network, "session_cap");
    check(2 * DAY_MS, Some(DAY_MS), network, "s=1");
    check(1, None, &format!("{network}\nsx_session_cap=false"), "s=1");
    check(1, None, "cpi_mostback_url=https://partner.example/?s=1", "s=1");
    check(1, None, "cpi_mostback_url=https://partner.example/?s=1\nsx_session_cap=true", "session_cap");
}

#[test]
fn a_spent_trigger_sends_nothing() {
    let mut world = World::new();
    world.spent = vec![TriggerId(2)];
    event(&world, "sx_rate_cap=5/hour", "told");
    world.spent.push(TriggerId(1));
    event(&world, "sx_rate_cap=5/hour", "rate_cap");
}

#[test]
fn older_matches_than_the_lookback_are_not_told_to_the_network() {
    let mut world = World::new();
    let lines = "sx_network_id=7\ncpi_mostback_url=https://partner.example/?x=1\n\
                 cpi_example_device_id_lookback_window=2\ncpi_example_fingerprint_lookback_window=1";
    let mut check = |class: &str, age: i64, lines: &str, expected: &str| {
        let source = world.source.as_mut().unwrap();
        source.class = class.into();
        source.time = INSTALLED.plus(-age);
        for kind in [TriggerKind::Install, TriggerKind::Event] {
            assert_eq!(outcome(&world, kind, lines), expected, "{class} {age} {kind:?}");
        }
    };
    check("device_id", 2 * DAY_MS, lines, "x=1");
    check("device_id", 2 * DAY_MS + 1, lines, "filtered");
    check("modeled", DAY_MS, lines, "x=1");
    check("modeled", DAY_MS + 1, lines, "filtered");
    check("asa", 9 * DAY_MS, lines, "x=1");
    check("device_id", 9 * DAY_MS, &lines.replace("sx_network_id=7", "sx_delivery=all"), "x=1");
}

#[test]
fn events_are_renamed_for_the_partner() {
    let world = World::new();
    let check = |setting: &str, expected: &str| {
        let lines =
            format!("cpi_mostback_url=https://partner.example/?e={{event_name}}|{{event}}\n{setting}");
        assert_eq!(
            outcome(&world, TriggerKind::Event, &lines),
            format!("e={expected}|{expected}"),
            "{setting}"
        );
    };
    check("", "Purchase");
    check("sx_event_name=buy", "buy");
    check("sx_event_names={\"Purchase\":\"a b\"}", "a%20b");
    check("sx_event_names={\"purchase\":\"x\"}", "Purchase");
    check("sx_event_name=other\nsx_event_names={\"Purchase\":\"mine\"}", "mine");
}

#[test]
fn network_data_are_kept_back_when_asked() {
    let world = World::new();
    let url = "cpi_mostback_url=https://partner.example/?{click_id}{network_name}{campaign_id}{tracker_id}\
               {segment_name}{site_id}{creative_id}{cp_0}{match_type}{click_time:iso}{attributed}|{adid}{idfa}";
    let all = outcome(&world, TriggerKind::Install, url);
    assert!(all.contains("src%2F1") && all.contains("Gopher"), "{all}");
    let lines = format!("{url}\nsx_network_data=false");
    assert_eq!(outcome(&world, TriggerKind::Install, &lines), "|AAAA-1111");
}

#[test]
fn all_data_go_along_when_asked() {
    let world = World::new();
    let url = "cpi_mostback_url=https://partner.example/?p={event_data.plan}\nsx_all_data=true";
    let expected =
        "p=gold%20%26%20%22new%22&count=3&trial=false&items=%5B1%2C%22a%22%5D&product.sku=S-1&empty=";
    assert_eq!(outcome(&world, TriggerKind::Event, url), expected);
    let body = |body: &str| {
        let mut world = World::new();
        let lines = format!("cpi_mostback_url=https://partner.example/\nsx_all_data=true\nsx_body={body}");
        world.add(trigger(1, TriggerKind::Event, &lines));
        world.plan(TriggerKind::Event).deliveries.remove(0).request.body
    };
    let data =
        r#"{"plan":"gold & \"new\"","count":3,"trial":false,"items":[1,"a"],"product.sku":"S-1","empty":""}"#;
    assert_eq!(body("{}"), format!("{{\"event_data\":{data}}}"));
    assert_eq!(body("{\"a\":1 }"), format!("{{\"a\":1 ,\"event_data\":{data}}}"));
    assert_eq!(body("{\"d\":{event_data}}"), format!("{{\"d\":{data}}}"));
}

#[test]
fn members_of_objects_stand_in_their_objects() {
    let mut world = World::new();
    world.event.params = vec![
        ("product".into(), Value::Json("{\"sku\":\"S\"}".into())),
        ("product.sku".into(), Value::Text("S".into())),
    ];
    let url = "cpi_mostback_url=https://partner.example/?x\nsx_all_data=true";
    assert_eq!(outcome(&world, TriggerKind::Event, url), "x&product=%7B%22sku%22%3A%22S%22%7D");
}

#[test]
fn switches_of_an_event_name_take_effect() {
    let mut world = World::new();
    let set = |world: &mut World, active, is_revenue| {
        let switches = EventSwitches { active, is_revenue };
        let entry = Entry::Event(AppId(501), "Purchase".into(), switches);
        world.catalogue.apply(Change { version: 3, at: Timestamp(0), by: None, entry });
    };
    set(&mut world, None, Some(false));
    event(&world, "", "e=Purchase&r=&v=19.90");
    event(&world, "sx_filter={\"min_revenue\": 1}", "filtered");
    set(&mut world, Some(false), None);
    event(&world, "", Suppression::EventInactive.name());
    set(&mut world, Some(true), Some(true));
    event(&world, "", "told");
}

#[test]
fn headers_hold_what_http_allows() {
    let sent = |value: &str| {
        let mut world = World::new();
        let lines = format!("{URL}\nsx_headers={{\"X-Key\":\"{value}\",\"X-Fixed\":\"a b\"}}");
        world.add(trigger(1, TriggerKind::Event, &lines));
        let plan = world.plan(TriggerKind::Event);
        match plan.suppressed.first() {
            Some(pair) => pair.reason.name().to_owned(),
            None => plan.deliveries[0].request.headers.iter().map(|(k, v)| format!("{k}: {v};")).collect(),
        }
    };
    assert_eq!(sent("k-{app_id}"), "X-Key: k-501;X-Fixed: a b;");
    assert_eq!(sent("{event_data.plan}"), "X-Key: gold & \"new\";X-Fixed: a b;");
    assert_eq!(sent("caf\u{e9}"), "bad_url", "of a trigger that was saved before this was refused");
}

proptest::proptest! {
    /// What a trigger holds under a key of its own is a value like any other: macros in it stay text, in a
    /// URL, a form, a JSON text and a header alike.
    #[test]
    fn a_context_value_is_never_expanded(value in "[ -~]{1,40}") {
        let mut world = World::new();
        let body = r#"{"in":"{context.note}","{event_name}":1}"#;
        let mut made = trigger(1, TriggerKind::Event, "cpi_mostback_url=https://partner.example/?n={context.note}&e={event_name}");
        made.context.push(("note".into(), Value::Text(value.clone())));
        made.context.push(("sx_body".into(), Value::Text(body.into())));
        made.context.push(("sx_headers".into(), Value::Json(r#"{"X-Note":"{context.note}"}"#.into())));
        world.add(made);
        let request = world.plan(TriggerKind::Event).deliveries.remove(0).request;
        let (_, query) = request.url.split_once("?n=").unwrap();
        let (encoded, rest) = query.split_once('&').unwrap();
        proptest::prop_assert_eq!(rest, "e=Purchase");
        proptest::prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        proptest::prop_assert_eq!(&body, &serde_json::json!({ "in": value, "Purchase": 1 }));
        proptest::prop_assert_eq!(&request.headers, &[("X-Note".to_owned(), value)]);
    }
}
