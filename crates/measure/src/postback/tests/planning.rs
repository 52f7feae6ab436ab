use proptest::prelude::*;

use super::{
    super::{DeliveryState, Method, Suppression, compose},
    *,
};
use crate::place::Country;

const URL: &str = "cpi_mostback_url=https://partner.example/pb?cid={click_id}&v={event_value}\n";

/// What becomes of one trigger: `sent`, or the reason why not.
fn outcome(world: &World, kind: TriggerKind, lines: &str) -> &'static str {
    let mut world = world.clone();
    world.add(trigger(1, kind, &format!("{URL}{lines}")));
    match world.plan(kind) {
        Plan { deliveries, suppressed } if deliveries.len() == 1 && suppressed.is_empty() => "sent",
        Plan { deliveries, suppressed } if deliveries.is_empty() && suppressed.len() == 1 => {
            suppressed[0].reason.name()
        }
        plan => panic!("{plan:?}"),
    }
}

fn check(change: impl Fn(&mut World), lines: &str, expected: &str) {
    let mut world = World::new();
    change(&mut world);
    assert_eq!(outcome(&world, TriggerKind::Install, lines), expected, "{lines}");
}

const UNCHANGED: fn(&mut World) = |_| {};
const ORGANIC: fn(&mut World) = |world| world.source = None;
/// A later revision of what everybody was told.
const REVISED: fn(&mut World) = |world| {
    world.revision = 1;
    world.told = vec![TriggerId(1), TriggerId(2)];
};

#[test]
fn a_trigger_goes_to_all_unless_it_belongs_to_a_network() {
    check(UNCHANGED, "", "sent");
    check(ORGANIC, "", "sent");
    check(UNCHANGED, "sx_network_id=7", "sent");
    check(UNCHANGED, "sx_network_id=9", "other_network");
    check(UNCHANGED, "sx_network_id=8", "influencer_only");
    check(ORGANIC, "sx_network_id=7", "not_attributed");
    check(ORGANIC, "sx_network_id=8", "influencer_only");
    check(ORGANIC, "sx_network_id=7\nsx_delivery=all", "sent");
    check(UNCHANGED, "sx_network_id=9\nsx_delivery=all", "sent");
    check(UNCHANGED, "sx_network_id=9\nsx_delivery=network_agency", "other_network");
    check(UNCHANGED, "sx_network_id=7\nsx_delivery=network", "sent");
    check(UNCHANGED, "sx_delivery=network", "incomplete");
}

#[test]
fn an_app_may_forward_all_installs_to_all_partners() {
    let mut world = World::new();
    world.app.policy.forward_installs = Some(true);
    for (kind, lines, expected) in [
        (TriggerKind::Install, "sx_network_id=9", "sent"),
        (TriggerKind::Install, "sx_network_id=9\nsx_delivery=network", "other_network"),
        (TriggerKind::Install, "sx_network_id=9\ncpi_x_device_id_lookback_window=1", "sent"),
        (TriggerKind::Event, "sx_network_id=9", "other_network"),
        (TriggerKind::Click, "sx_network_id=9", "other_network"),
    ] {
        assert_eq!(outcome(&world, kind, lines), expected, "{kind:?} {lines}");
    }
    world.source = None;
    assert_eq!(outcome(&world, TriggerKind::Install, "sx_network_id=9"), "sent");
    world.revision = 1;
    assert_eq!(outcome(&world, TriggerKind::Install, "sx_network_id=9"), "sent");
    world.told = vec![TriggerId(1), TriggerId(2)];
    assert_eq!(outcome(&world, TriggerKind::Install, "sx_network_id=9"), "duplicate");
}

#[test]
fn a_network_template_without_a_network_is_incomplete() {
    let mut world = World::new();
    world.add(Trigger { template: crate::TemplateId(2602), ..trigger(1, TriggerKind::Install, URL) });
    assert_eq!(world.plan(TriggerKind::Install).suppressed[0].reason, Suppression::Incomplete);
}

#[test]
fn a_click_goes_to_its_own_network() {
    let world = World::new();
    assert_eq!(outcome(&world, TriggerKind::Click, "sx_network_id=7"), "sent");
    assert_eq!(outcome(&world, TriggerKind::Click, "sx_network_id=9"), "other_network");
}

#[test]
fn countries() {
    let from = |country: Option<&'static str>| {
        move |world: &mut World| world.origin.country = country.map(str::to_owned)
    };
    check(from(Some("US")), "sx_countries=US,DE", "sent");
    check(from(Some("de")), "sx_countries=US, DE", "sent");
    check(from(Some("CN")), "sx_countries=US,DE", "country_blocked");
    check(from(None), "sx_countries=US,DE", "country_blocked");
    check(from(Some("CN")), "sx_countries=!CN,!RU", "country_blocked");
    check(from(Some("RU")), "sx_countries=!CN,!RU", "country_blocked");
    check(from(Some("US")), "sx_countries=!CN,!RU", "sent");
    check(from(None), "sx_countries=!CN", "sent");
    check(from(None), "", "sent");
}

#[test]
fn a_click_has_a_country_of_its_own() {
    let mut world = World::new();
    let mut check = |country: Option<&str>, lines: &str, expected: &str| {
        world.click.place.country = country.map(|name| Country::named(name).unwrap());
        assert_eq!(outcome(&world, TriggerKind::Click, lines), expected, "{country:?} {lines}");
    };
    check(Some("DE"), "sx_countries=DE", "sent");
    check(Some("DE"), "sx_countries=!DE", "country_blocked");
    check(Some("US"), "sx_countries=DE", "country_blocked");
    check(Some("US"), "sx_countries=!DE", "sent");
    check(None, "sx_countries=DE", "country_blocked");
    check(None, "sx_countries=!DE", "sent");
}

#[test]
fn duplicates_and_corrections() {
    let duplicate: fn(&mut World) = |world| world.duplicate = true;
    check(duplicate, "", "duplicate");
    check(duplicate, "sx_duplicates=true", "sent");
    check(duplicate, "sx_duplicates=false", "duplicate");
    check(REVISED, "", "duplicate");
    check(REVISED, "sx_corrections=true", "sent");
    let nobody_was_told: fn(&mut World) = |world| {
        REVISED(world);
        world.told = Vec::new();
    };
    check(nobody_was_told, "", "sent");
    let another_was_told: fn(&mut World) = |world| {
        REVISED(world);
        world.told = vec![TriggerId(99)];
    };
    check(another_was_told, "", "sent");
    check(REVISED, "sx_network_id=7", "sent");
    check(REVISED, "sx_network_id=8", "influencer_only");
    check(REVISED, "sx_network_id=7\nsx_delivery=all", "duplicate");
}

/// What was decided on is made again whether or not its trigger would still begin it; what may be told to whom is
/// as the trigger says now.
#[test]
fn a_postback_is_made_again_as_its_trigger_is_now() {
    let check = |change: fn(&mut World), active: bool, lines: &str, expected: &str| {
        let mut world = World::new();
        change(&mut world);
        let trigger =
            Trigger { active, version: 3, ..trigger(1, TriggerKind::Install, &format!("{URL}{lines}")) };
        let made = compose(&trigger, &world.conversion(TriggerKind::Install));
        match made {
            Ok(made) => assert_eq!((made.trigger_version, "sent"), (3, expected), "{lines}"),
            Err(reason) => assert_eq!(reason.name(), expected, "{lines}"),
        }
    };
    check(UNCHANGED, true, "", "sent");
    check(UNCHANGED, false, "", "sent");
    check(UNCHANGED, false, "sx_countries=!DE,!US", "country_blocked");
    check(UNCHANGED, true, "sx_network_id=8", "influencer_only");
    check(ORGANIC, true, "sx_required=click_id", "missing_macro");
    check(ORGANIC, true, "sx_network_id=7", "not_attributed");
}

#[test]
fn required_macros_need_a_value_of_their_own() {
    check(UNCHANGED, "sx_required=click_id", "sent");
    check(UNCHANGED, "sx_required=click_id,idfa", "sent");
    check(UNCHANGED, "sx_required=click_id,adid", "missing_macro");
    check(UNCHANGED, "sx_required=adid\nsx_default=none", "missing_macro");
    check(ORGANIC, "sx_required=click_id", "missing_macro");
}

#[test]
fn what_cannot_be_understood_is_incomplete() {
    check(UNCHANGED, "deferred_for=soon", "incomplete");
    check(UNCHANGED, "sx_body=xml", "incomplete");
    let mut world = World::new();
    world.add(trigger(1, TriggerKind::Install, "cpi_x_app_id=1"));
    assert_eq!(world.plan(TriggerKind::Install).suppressed[0].reason, Suppression::Incomplete);
}

#[test]
fn what_grows_too_long_is_a_bad_url() {
    let long: fn(&mut World) = |world| world.source.as_mut().unwrap().click_id = Some("x".repeat(70_000));
    check(long, "", "bad_url");
}

/// The URL of a trigger for a click with this identifier, or why there is none.
fn asked_for(path: &str, click_id: &str) -> String {
    let mut world = World::new();
    world.source.as_mut().unwrap().click_id = Some(click_id.to_owned()).filter(|id| !id.is_empty());
    world.add(trigger(1, TriggerKind::Install, &format!("cpi_mostback_url=https://partner.example{path}")));
    let plan = world.plan(TriggerKind::Install);
    let refused = || plan.suppressed[0].reason.name().to_owned();
    let url = plan.deliveries.first().map(|delivery| delivery.request.url.clone());
    url.map_or_else(refused, |url| url.replace("https://partner.example", ""))
}

#[test]
fn no_value_changes_which_path_is_called() {
    for (path, click_id, expected) in [
        ("/cl/{click_id}/end?a=1", "c-1", "/cl/c-1/end?a=1"),
        ("/cl/{click_id}/end?a=1", "..", "bad_url"),
        ("/cl/{click_id}/end?a=1", ".", "bad_url"),
        ("/cl/{click_id}", "..", "bad_url"),
        ("/cl/{click_id}#x", "..", "bad_url"),
        ("/cl/{click_id}/end", "", "/cl//end"),
        ("/cl/{click_id}/end", "...", "/cl/.../end"),
        ("/cl/{click_id}/end", "a..", "/cl/a../end"),
        ("/cl/{click_id}/end", "../x", "/cl/..%2Fx/end"),
        ("/cl/{click_id}/end", "%2e%2E", "/cl/%252e%252E/end"),
        ("/cl/.{click_id}/end", ".", "bad_url"),
        ("/cl/.{click_id}/end", "", "bad_url"),
        ("/cl/%2E{click_id}/end", ".", "bad_url"),
        ("/cl/%2{click_id}/end", "e", "bad_url"),
        ("/cl/%2{click_id}%2{click_id}/end", "E", "bad_url"),
        ("/cl/v{click_id}/end", "..", "/cl/v../end"),
        ("/cl?to=/{click_id}/", "..", "/cl?to=/../"),
        // What the trigger itself says of steps is followed at once.
        ("/cl/../{click_id}", "c", "/c"),
    ] {
        assert_eq!(asked_for(path, click_id), expected, "{path} {click_id}");
    }
}

#[test]
fn the_url_is_kept_as_it_is_asked_for() {
    for (path, expected) in [
        ("", "/"),
        ("?c={click_id}", "/?c=1"),
        ("/a|b'c?d=e|f'g&c={click_id}#top", "/a|b'c?d=e|f%27g&c=1"),
        ("/a b/{x}{ y }/\u{fc}?z=\u{fc} \"<>", "/a%20b/%7B%20y%20%7D/%C3%BC?z=%C3%BC%20%22%3C%3E"),
        (":443/?c={click_id}", "/?c=1"),
    ] {
        assert_eq!(asked_for(path, "1"), expected, "{path}");
    }
    let host = request(TriggerKind::Install, "cpi_mostback_url=HTTPS://User:pa'ss@Partner.EXAMPLE:8443");
    assert_eq!(host.url, "https://User:pa'ss@partner.example:8443/");
    let mut world = World::new();
    world.add(trigger(1, TriggerKind::Install, "cpi_mostback_url=http://999.999.999.999/"));
    assert_eq!(world.plan(TriggerKind::Install).suppressed[0].reason, Suppression::BadUrl);
}

#[test]
fn inactive_comes_before_every_other_reason() {
    let mut world = World::new();
    world.duplicate = true;
    world.add(Trigger { active: false, ..trigger(1, TriggerKind::Install, "") });
    let plan = world.plan(TriggerKind::Install);
    assert_eq!((plan.deliveries.len(), plan.suppressed[0].reason), (0, Suppression::Inactive));
}

/// Of triggers 1 to 6, those that match an event named `Purchase`.
#[test]
fn kind_filter_and_deletion_decide_what_matches() {
    let mut world = World::new();
    let event = |number, filter: Option<&str>| Trigger {
        filter: filter.map(str::to_owned),
        ..trigger(number, TriggerKind::Event, URL)
    };
    world.add(event(1, Some("Purchase")));
    world.add(event(2, Some("purchase")));
    world.add(event(3, None));
    world.add(event(4, Some("")));
    world.add(Trigger { deleted: true, ..event(5, None) });
    world.add(trigger(6, TriggerKind::Install, URL));
    world.add(Trigger { app: AppId(502), ..event(7, None) });
    let plan = world.plan(TriggerKind::Event);
    assert_eq!(plan.deliveries.iter().map(|delivery| delivery.trigger.0).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(plan.suppressed, []);
}

#[test]
fn a_filter_means_nothing_but_for_events() {
    let mut world = World::new();
    world.add(Trigger { filter: Some("Purchase".into()), ..trigger(1, TriggerKind::Install, URL) });
    assert_eq!(world.plan(TriggerKind::Install).deliveries.len(), 1);
}

fn due_ms(kind: TriggerKind, hold_install_ms: i64, lines: &str) -> i64 {
    let mut world = World::new();
    world.app.policy.hold_install_ms = Some(hold_install_ms);
    world.add(trigger(1, kind, &format!("{URL}{lines}")));
    world.plan(kind).deliveries[0].due.since(DECIDED)
}

#[test]
fn delays_count_from_the_decision() {
    assert_eq!(due_ms(TriggerKind::Install, 0, ""), 0);
    assert_eq!(due_ms(TriggerKind::Install, 0, "deferred_for=30000"), 30_000);
    assert_eq!(due_ms(TriggerKind::Install, 60_000, "deferred_for=30000"), 60_000);
    assert_eq!(due_ms(TriggerKind::Install, 20_000, "deferred_for=30000"), 30_000);
    assert_eq!(due_ms(TriggerKind::Event, 60_000, "deferred_for=30000"), 30_000);
    assert_eq!(due_ms(TriggerKind::Click, 60_000, ""), 0);
}

#[test]
fn a_delivery_tells_what_it_is() {
    let mut world = World::new();
    world.add(trigger(1, TriggerKind::Event, &format!("{URL}sx_network_id=7\nmax_delivery_attempts=0")));
    let delivery = world.plan(TriggerKind::Event).deliveries.remove(0);
    assert_eq!(delivery.request.url, "https://partner.example/pb?cid=src%2F1&v=19.90");
    assert_eq!(
        (delivery.request.method, delivery.request.content_type, delivery.request.body.as_str()),
        (Method::Get, None, "")
    );
    assert_eq!(
        (delivery.state, delivery.attempts_allowed, delivery.network),
        (DeliveryState::Pending, 1, Some(WINNER))
    );
    assert_eq!((delivery.trigger_version, delivery.revision, delivery.created), (3, 0, DECIDED));
    assert_eq!(
        (delivery.conversion, delivery.install),
        (InputId(Uuid::from_u128(11)), Some(InstallId(Uuid::from_u128(12))))
    );
    let mut world = World::new();
    world.add(trigger(1, TriggerKind::Event, URL));
    assert_eq!(world.plan(TriggerKind::Event).deliveries[0].attempts_allowed, 4);
}

#[test]
fn identifiers_are_stable_and_in_order_of_time() {
    let mut world = World::new();
    for number in 1..=3 {
        world.add(trigger(number, TriggerKind::Install, &format!("{URL}sx_corrections=true")));
    }
    let ids = |world: &World| -> Vec<Uuid> {
        world.plan(TriggerKind::Install).deliveries.iter().map(|d| d.id.0).collect()
    };
    let first = ids(&world);
    assert_eq!(first, ids(&world));
    world.revision = 1;
    let mut all = [first.clone(), ids(&world)].concat();
    for id in &all {
        assert_eq!(id.as_u128() >> 80, u128::try_from(DECIDED.millis()).unwrap());
        assert_eq!((id.get_version_num(), id.get_variant()), (8, uuid::Variant::RFC4122));
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 6);
}

fn request(kind: TriggerKind, lines: &str) -> super::super::Request {
    let mut world = World::new();
    world.add(trigger(1, kind, lines));
    world.plan(kind).deliveries.remove(0).request
}

#[test]
fn bodies() {
    let post = request(TriggerKind::Event, &format!("{URL}sx_method=POST"));
    assert_eq!((post.method, post.body.as_str(), post.content_type), (Method::Post, "", None));
    assert_eq!(post.url, "https://partner.example/pb?cid=src%2F1&v=19.90");

    let form = request(
        TriggerKind::Event,
        "cpi_mostback_url=https://p.example/{app_id}?a={event_data.plan}&b=x y#top\nsx_body=form",
    );
    assert_eq!((form.method, form.url.as_str()), (Method::Post, "https://p.example/501"));
    assert_eq!(form.body, "a=gold%20%26%20%22new%22&b=x y");
    assert_eq!(form.content_type.as_deref(), Some("application/x-www-form-urlencoded"));

    let json = request(
        TriggerKind::Event,
        &format!(
            "{URL}sx_body={{\"cid\":\"{{click_id}}\",\"v\":{{event_value}},\"plan\":{{event_data.plan}},\"n\":{{event_data.count}},\"trial\":{{event_data.trial}},\"items\":{{event_data.items}},\"ad\":{{adid}}}}"
        ),
    );
    assert_eq!(
        (json.method, json.url.as_str()),
        (Method::Post, "https://partner.example/pb?cid=src%2F1&v=19.90")
    );
    assert_eq!(
        json.body,
        r#"{"cid":"src/1","v":19.90,"plan":"gold & \"new\"","n":3,"trial":false,"items":[1,"a"],"ad":null}"#
    );
    assert_eq!(json.content_type.as_deref(), Some("application/json"));
}

#[test]
fn defaults_by_macro_then_for_all() {
    let render = |lines: &str| {
        let url =
            format!("cpi_mostback_url=https://p.example/?{{adid}}|{{android_id}}|{{event_time}}\n{lines}");
        request(TriggerKind::Install, &url).url.replace("https://p.example/?", "")
    };
    assert_eq!(render(""), "||1795247940");
    assert_eq!(render("sx_default=n/a"), "n%2Fa|n%2Fa|1795247940");
    assert_eq!(render("sx_default=x\nsx_default.adid=0"), "0|x|1795247940");
    assert_eq!(render("sx_default=x\nsx_default.adid="), "|x|1795247940");
    assert_eq!(render("sx_default={adid}"), "%7Badid%7D|%7Badid%7D|1795247940");
    let json = request(
        TriggerKind::Install,
        &format!("{URL}sx_body={{\"a\":{{adid}},\"b\":{{android_id}}}}\nsx_default.adid=0"),
    );
    assert_eq!(json.body, r#"{"a":0,"b":null}"#);
}

#[test]
fn the_success_text_goes_along() {
    let with_text = request(TriggerKind::Install, &format!("{URL}sx_success_match=message: success"));
    assert_eq!(with_text.success_match.as_deref(), Some("message: success"));
}

/// Contexts with keys that mean something and values that may not.
fn any_trigger() -> impl Strategy<Value = Trigger> {
    let key = prop::sample::select(vec![
        "cpi_mostback_url",
        "cpi_net_mostback_url",
        "deferred_for",
        "max_delivery_attempts",
        "sx_network_id",
        "sx_delivery",
        "sx_countries",
        "sx_duplicates",
        "sx_corrections",
        "sx_default",
        "sx_default.adid",
        "sx_required",
        "sx_method",
        "sx_body",
        "sx_success_match",
        "other",
    ]);
    let value = prop_oneof![
        prop::sample::select(vec![
            "https://partner.example/?c={click_id}",
            "http://[2001:db8::1]:1/{x}",
            "0",
            "7",
            "all",
            "network",
            "US",
            "!US",
            "true",
            "form",
            "POST",
            "click_id",
            "{\"a\":{adid}}",
            "",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let value = (value, 0..4).prop_map(|(text, kind)| match kind {
        0 => Value::Number(text),
        1 => Value::Bool(text.len() % 2 == 0),
        _ => Value::Text(text),
    });
    let context = prop::collection::vec((key.prop_map(str::to_owned), value), 0..8);
    let filter = prop::option::of(prop::sample::select(vec!["", "Purchase", "Other"]));
    let kind = prop::sample::select(vec![TriggerKind::Install, TriggerKind::Event, TriggerKind::Click]);
    (context, filter, kind, any::<bool>(), 0..10).prop_map(|(context, filter, kind, active, deleted)| {
        Trigger {
            context,
            filter: filter.map(str::to_owned),
            active,
            deleted: deleted == 0,
            ..trigger(0, kind, "cpi_mostback_url=https://partner.example/")
        }
    })
}

proptest! {
    #[test]
    fn every_matching_trigger_ends_in_one_list(
        triggers in prop::collection::vec(any_trigger(), 0..8),
        kind in prop::sample::select(vec![TriggerKind::Install, TriggerKind::Event, TriggerKind::Click]),
        revision in 0_u32..2, duplicate: bool, organic: bool, click_id: Option<String>,
    ) {
        let mut world = World::new();
        world.revision = revision;
        world.duplicate = duplicate;
        world.source.as_mut().unwrap().click_id = click_id;
        if organic {
            world.source = None;
        }
        let mut expected = Vec::new();
        for (number, trigger) in (1..).zip(triggers) {
            let named = matches!(trigger.filter.as_deref(), None | Some("" | "Purchase"));
            if trigger.kind == kind && !trigger.deleted && (kind != TriggerKind::Event || named) {
                expected.push(number);
            }
            world.add(Trigger { id: TriggerId(number), ..trigger });
        }
        let plan = world.plan(kind);
        let sent = plan.deliveries.iter().map(|delivery| delivery.trigger.0);
        let mut got: Vec<u64> = sent.chain(plan.suppressed.iter().map(|pair| pair.trigger.0)).collect();
        got.sort_unstable();
        prop_assert_eq!(got, expected);
        prop_assert_eq!(&plan, &world.plan(kind));
        for delivery in &plan.deliveries {
            let url = &delivery.request.url;
            prop_assert!(url.starts_with("http") && !url.bytes().any(|b| b.is_ascii_control()), "{}", url);
            let sent = String::from(url::Url::parse(url).unwrap());
            prop_assert_eq!(&sent, url, "it is what is sent");
        }
    }

    #[test]
    fn a_value_stays_in_its_part_of_the_path(click_id in "([.%2eE/\\\\?#a-z]{0,6}|\\PC{0,12})") {
        let asked = asked_for("/cl/{click_id}/end?c={click_id}", &click_id);
        let is_step = matches!(click_id.as_str(), "." | "..");
        prop_assert_eq!(is_step, asked == "bad_url", "{}", asked);
        if !is_step {
            let value = percent_encoding::utf8_percent_encode(&click_id, percent_encoding::NON_ALPHANUMERIC);
            let plain = asked.replace('-', "%2D").replace('.', "%2E").replace('_', "%5F").replace('~', "%7E");
            prop_assert_eq!(plain, format!("/cl/{value}/end?c={value}"));
        }
    }
}
