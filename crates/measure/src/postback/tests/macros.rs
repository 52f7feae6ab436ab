use super::*;
use crate::{consent::Moment, flag::Flag};

/// What `{token}` renders as in the URL of an install, event and click trigger; `-` is missing.
fn check(token: &str, install: &str, event: &str, click: &str) {
    let world = World::new();
    for (kind, expected) in
        [(TriggerKind::Install, install), (TriggerKind::Event, event), (TriggerKind::Click, click)]
    {
        assert_eq!(render(&world, kind, token), expected, "{{{token}}} of {kind:?}");
    }
}

fn render(world: &World, kind: TriggerKind, token: &str) -> String {
    let mut world = world.clone();
    let url = format!("cpi_mostback_url=https://partner.example/?v={{{token}}}\nsx_default=-");
    world.add(trigger(1, kind, &url));
    let plan = world.plan(kind);
    let [delivery] = plan.deliveries.as_slice() else { panic!("nothing planned: {plan:?}") };
    delivery.request.url.strip_prefix("https://partner.example/?v=").unwrap().to_owned()
}

#[test]
fn every_macro_of_the_table() {
    check("click_id", "src%2F1", "src%2F1", "clk%2F1");
    check("event_name", "_install", "Purchase", "_click");
    check("event_value", "-", "19.90", "-");
    check("revenue", "-", "19.90", "-");
    check("currency", "-", "EUR", "-");
    check("event_time", "1795247940", "1795247999", "1795247880");
    check(
        "event_time:iso",
        "2026-11-21T07%3A59%3A00Z",
        "2026-11-21T07%3A59%3A59Z",
        "2026-11-21T07%3A58%3A00Z",
    );
    check("kochava_device_id", "SX-0001", "SX-0001", "-");
    check("idfa", "AAAA-1111", "AAAA-1111", "-");
    check("idfv", "3D5F0B1E-6C2A", "3D5F0B1E-6C2A", "-");
    check("adid", "-", "-", "CCCC-2222");
    check("android_id", "-", "-", "-");
    check("ip_address", "203.0.113.24", "203.0.113.24", "2001%3Adb8%3A%3A5");
    let ua = "Mozilla%2F5.0%20%28iPhone%29";
    check("device_ua", ua, ua, "Mozilla%2F5.0%20%28Linux%29");
    let version = "iPhone-15-iOS-17.5.1";
    check("device_ver", version, version, "Pixel-8-Pro-Android-14");
    check("device_type", "iPhone%2015", "iPhone%2015", "Pixel%208%20Pro");
    check("os_version", "17.5.1", "17.5.1", "14");
    check("platform", "iOS", "iOS", "Android");
    check("country", "US", "US", "-");
    check("network_name", "Gopher%20%26%20Co", "Gopher%20%26%20Co", "Gopher%20%26%20Co");
    check("site_id", "site%202", "site%202", "site%201");
    check("sub_site_id", "sub-2", "sub-2", "sub-1");
    check("creative_id", "cre-2", "cre-2", "cre-1");
}

#[test]
fn texts_are_escaped_where_they_would_be_marked_up() {
    let mut world = World::new();
    world.event.name = "<!channel> & <b>".into();
    world.event.params = vec![("x".into(), Value::Text("&lt;<>".into()))];
    world.source.as_mut().unwrap().params = pairs(&[("cp_0", "<@U1>")]);
    let check = |token: &str, expected: &str| {
        let rendered = render(&world, TriggerKind::Event, token);
        let plain = percent_encoding::percent_decode_str(&rendered).decode_utf8().unwrap();
        assert_eq!(plain, expected, "{token}");
    };
    check("event_name:markup", "&lt;!channel&gt; &amp; &lt;b&gt;");
    check("network_name:markup", "Gopher &amp; Co");
    check("event_data.x:markup", "&amp;lt;&lt;&gt;");
    check("cp_0:markup", "&lt;@U1&gt;");
    check("context.none:markup", "-");
    check("event_time:markup", "-");
    check("nothing:markup", "-");
}

#[test]
fn our_additions_and_aliases() {
    check("install_time", "1795247940", "1795247940", "-");
    check("click_time", "1795247880", "1795247880", "1795247880");
    check(
        "click_time:iso",
        "2026-11-21T07%3A58%3A00Z",
        "2026-11-21T07%3A58%3A00Z",
        "2026-11-21T07%3A58%3A00Z",
    );
    check("network_id", "7", "7", "7");
    check("campaign_id", "20", "20", "20");
    check("tracker_id", "22", "22", "22");
    check("segment_name", "Autumn", "Autumn", "Autumn");
    check("attribution_type", "install", "install", "-");
    check("match_type", "device_id", "device_id", "-");
    check("app_id", "501", "501", "501");
    check("cp_0", "null", "null", "zero");
    check("cp_9", "neun", "neun", "nine");
    check("cp_1", "-", "-", "-");
    check("event_data.plan", "-", "gold%20%26%20%22new%22", "-");
    check("event_data.count", "-", "3", "-");
    check("event_data.trial", "-", "false", "-");
    check("event_data.product.sku", "-", "S-1", "-");
    check("event_data.empty", "-", "-", "-");
    check("event_data.Plan", "-", "-", "-");
    check("ip", "203.0.113.24", "203.0.113.24", "2001%3Adb8%3A%3A5");
    check(
        "ua",
        "Mozilla%2F5.0%20%28iPhone%29",
        "Mozilla%2F5.0%20%28iPhone%29",
        "Mozilla%2F5.0%20%28Linux%29",
    );
    check("event", "_install", "Purchase", "_click");
    check("value", "-", "19.90", "-");
}

#[test]
fn our_identifiers_in_the_forms_that_others_ask_for() {
    let id = |token: &str| render(&World::new(), TriggerKind::Install, token);
    for name in ["install_id", "conversion_id", "delivery_id"] {
        let hex = id(name).split_once('_').unwrap().1.to_owned();
        let uuid = id(&format!("{name}:uuid"));
        assert_eq!((uuid.len(), uuid.replace('-', "")), (36, hex.clone()), "{name}");
        let ulid = id(&format!("{name}:ulid"));
        assert_eq!(ulid.len(), 26, "{name}: {ulid}");
        let digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let bits = ulid.chars().fold(0_u128, |bits, digit| bits << 5 | digits.find(digit).unwrap() as u128);
        assert_eq!(format!("{bits:032x}"), hex, "{name}");
    }
    check("event_name:uuid", "-", "-", "-");
    check("event_time:ulid", "-", "-", "-");
}

#[test]
fn a_ulid_of_the_specification() {
    // The largest one that there is, and the time of its first ten digits.
    assert_eq!(crate::id::ulid(Uuid::from_u128(u128::MAX)), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    let time = Uuid::from_u128(1_469_918_176_385 << 80);
    assert_eq!(crate::id::ulid(time), "01ARYZ6S410000000000000000");
}

#[test]
fn a_request_is_renamed_in_every_form_of_its_identifier() {
    let id = |n: u128| crate::DeliveryId(Uuid::from_u128(n));
    let naming = |id: crate::DeliveryId| super::super::Request {
        url: format!("https://partner.example/?a={id}&b={}", id.0),
        body: format!("{{\"ulid\":\"{}\"}}", crate::id::ulid(id.0)),
        headers: vec![("idempotency-key".to_owned(), id.to_string())],
        ..Default::default()
    };
    assert_eq!(naming(id(1)).renamed(id(1), id(2)), naming(id(2)));
    assert_eq!(naming(id(1)).renamed(id(3), id(2)), naming(id(1)));
}

#[test]
fn what_is_no_macro_is_missing() {
    for token in
        ["nonsense", "Click_Id", "click_id:iso", "event_time:date", "cp_10", "cp_x", "event_data.", "cp_"]
    {
        check(token, "-", "-", "-");
    }
}

#[test]
fn an_amount_goes_before_plain_event_data() {
    let mut world = World::new();
    let mut value = |amount: Option<&str>, plain: Option<Value>| {
        world.event.amount = amount.map(|amount| amount.parse().unwrap());
        world.event.plain = plain;
        [render(&world, TriggerKind::Event, "event_value"), render(&world, TriggerKind::Event, "revenue")]
    };
    assert_eq!(value(Some("-5.000"), Some(Value::Text("x".into()))), ["-5.000", "-5.000"]);
    assert_eq!(value(None, Some(Value::Text("level 5".into()))), ["level%205", "-"]);
    assert_eq!(value(None, Some(Value::Number("1e3".into()))), ["1e3", "-"]);
    assert_eq!(value(None, None), ["-", "-"]);
    assert_eq!(value(Some("0.10"), None), ["0.10", "0.10"]);
}

#[test]
fn an_idfa_that_was_dropped_is_not_taken_from_the_device() {
    for (flag, expected) in [
        (Flag::IdfaDroppedAttMissing, "-"),
        (Flag::IdfaDroppedAttFalse, "-"),
        // Nothing was sent, nothing was dropped.
        (Flag::TimeMissing, "AAAA-1111"),
    ] {
        let world = World { flags: [flag].into(), ..World::new() };
        assert_eq!(render(&world, TriggerKind::Event, "idfa"), expected, "{flag}");
        assert_eq!(render(&world, TriggerKind::Event, "advertising_id"), expected, "{flag}");
        assert_eq!(render(&world, TriggerKind::Event, "idfv"), "3D5F0B1E-6C2A", "{flag}");
    }
}

#[test]
fn an_idfa_refused_now_is_not_taken_from_the_device() {
    let mut world = World::new();
    world.origin.consent.att.flag = Some(false);
    assert_eq!(render(&world, TriggerKind::Event, "idfa"), "-");
    world.origin.consent.att.flag = Some(true);
    assert_eq!(render(&world, TriggerKind::Event, "idfa"), "AAAA-1111");
    world.device.identifiers.clear();
    assert_eq!(render(&world, TriggerKind::Event, "idfa"), "-");
}

#[test]
fn of_one_second_what_was_said_last_counts() {
    let mut world = World::new();
    world.origin.consent.att.flag = Some(true);
    world.device.consent.att.flag = Some(false);
    let happened = world.event.time;
    for (seconds, expected) in [(-1, "AAAA-1111"), (0, "-"), (1, "-")] {
        let refused = Moment::new(happened.plus(1_000 * seconds), happened.plus(5_000));
        world.device.said.consent.att = Some(refused);
        assert_eq!(render(&world, TriggerKind::Event, "idfa"), expected, "{seconds} s after the event");
    }
}

#[test]
fn an_organic_install_has_no_source_to_tell_of() {
    let mut world = World::new();
    world.source = None;
    for token in
        ["click_id", "network_name", "network_id", "campaign_id", "click_time", "attribution_type", "cp_0"]
    {
        assert_eq!(render(&world, TriggerKind::Install, token), "-", "{token}");
    }
    assert_eq!(render(&world, TriggerKind::Install, "match_type"), "organic");
    assert_eq!(render(&world, TriggerKind::Install, "kochava_device_id"), "SX-0001");
}

#[test]
fn an_impression_has_no_click_time() {
    let mut world = World::new();
    world.source.as_mut().unwrap().kind = EngagementKind::Impression;
    assert_eq!(render(&world, TriggerKind::Install, "click_time"), "-");
    assert_eq!(render(&world, TriggerKind::Install, "click_id"), "src%2F1");
}

#[test]
fn what_the_conversion_lacks_comes_from_the_device() {
    let mut world = World::new();
    world.origin = Origin::default();
    assert_eq!(render(&world, TriggerKind::Event, "kochava_device_id"), "SX-MAIN");
    assert_eq!(render(&world, TriggerKind::Event, "idfv"), "OLD-IDFV");
    assert_eq!(render(&world, TriggerKind::Event, "device_ver"), "iPhone-14-iOS-16.0");
    world.device.traits = Traits::default();
    assert_eq!(render(&world, TriggerKind::Event, "device_ver"), "-");
    assert_eq!(render(&world, TriggerKind::Event, "platform"), "iOS");
}

#[test]
fn the_delivery_id_is_the_one_on_record() {
    let mut world = World::new();
    world.add(trigger(1, TriggerKind::Install, "cpi_mostback_url=https://partner.example/?d={delivery_id}"));
    let delivery = world.plan(TriggerKind::Install).deliveries.remove(0);
    assert_eq!(delivery.request.url, format!("https://partner.example/?d={}", delivery.id));
}

#[test]
fn iso_times_follow_the_calendar() {
    let mut world = World::new();
    for (seconds, expected) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (951_868_799, "2000-02-29T23:59:59Z"),
        (1_709_164_800, "2024-02-29T00:00:00Z"),
        (1_735_689_599, "2024-12-31T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
    ] {
        world.event.time = Timestamp::from_seconds(seconds);
        let rendered = render(&world, TriggerKind::Event, "event_time:iso").replace("%3A", ":");
        assert_eq!(rendered, expected);
    }
}
