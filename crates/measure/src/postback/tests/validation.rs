use super::{super::trigger::validate, *};

const URL: &str = "cpi_mostback_url=https://partner.example/pb?cid={click_id}\n";

fn validated(lines: &str) -> Result<Vec<String>, String> {
    validate(&trigger(1, TriggerKind::Event, lines), None)
}

fn accept(lines: &str) {
    assert_eq!(validated(&format!("{URL}{lines}")), Ok(vec![]), "{lines}");
}

/// Refused, and the message names the field.
fn refuse(lines: &str, field: &str) {
    let message = validated(&format!("{URL}{lines}")).expect_err(lines);
    assert!(message.starts_with(&format!("context.{field}: ")), "{lines}: {message}");
}

fn warn(lines: &str, part: &str) {
    let warnings = validated(&format!("{URL}{lines}")).expect(lines);
    assert!(warnings.len() == 1 && warnings[0].contains(part), "{lines}: {warnings:?}");
}

#[test]
fn a_destination_is_required() {
    for lines in
        ["", "cpi_mostback_url=", "cpi_mostback_url=  ", "cpi_x_app_id=1", "mostback_url=https://a.example"]
    {
        assert!(validated(lines).unwrap_err().starts_with("context.cpi_mostback_url: "), "{lines}");
    }
}

#[test]
fn destinations() {
    for url in [
        "https://partner.example",
        "http://partner.example/",
        "HTTPS://Partner.Example./a?b={click_id}#c",
        "https://user:p%40ss@partner.example:8443/x",
        "http://192.0.2.1:80/",
        "http://[2001:db8::1]:8080/",
        "https://partner.example/{site_id}/x y/é",
        "https://partner.example?x={click_id}",
    ] {
        assert_eq!(validated(&format!("cpi_mostback_url={url}")), Ok(vec![]), "{url}");
    }
    for url in [
        "partner.example/x",
        "ftp://partner.example/",
        "javascript:alert(1)",
        "https://",
        "https:///x",
        "https://{site_id}/x",
        "https://{site_id}.partner.example/x",
        "https://partner.example:{cp_0}/",
        "https://{cp_0}@partner.example/",
        "https://partner.example:0/",
        "https://partner.example:65536/",
        "https://partner.example:+80/",
        "https://part ner.example/",
        "https://a..example/",
        "https://[2001:db8::zz]/",
        "https://[2001:db8::1/",
        "https://[::1]x/",
        "https://good.example\\@evil.example/",
        "https://partner.example/\u{1}",
        "https://bücher.example/",
    ] {
        assert!(validated(&format!("cpi_mostback_url={url}")).is_err(), "{url}");
    }
    let mut with_line_break = trigger(1, TriggerKind::Event, "");
    let url = "https://partner.example/\r\nX-Evil: 1".to_owned();
    with_line_break.context = vec![("cpi_mostback_url".into(), Value::Text(url))];
    assert!(validate(&with_line_break, None).is_err());
}

#[test]
fn the_url_of_a_network_template_counts() {
    assert_eq!(validated("cpi_openxperformance_mostback_url=https://partner.example/"), Ok(vec![]));
    let both = trigger(
        1,
        TriggerKind::Event,
        "cpi_x_mostback_url=https://x.example/\ncpi_mostback_url=https://plain.example/",
    );
    assert_eq!(both.destination(), Some(("cpi_mostback_url", "https://plain.example/")));
}

/// A script written for the incumbent may name any template of the incumbent's.
#[test]
fn a_template_that_is_not_known_waits_for_its_network() {
    let unknown = |lines: &str| {
        let url = "cpi_example_mostback_url=https://partner.example/";
        let trigger = trigger(1, TriggerKind::Event, &format!("{url}\n{lines}"));
        validate(&Trigger { template: crate::TemplateId(4711), ..trigger }, None)
    };
    let warnings = unknown("").unwrap();
    assert!(warnings.len() == 1 && warnings[0].starts_with("context.sx_network_id: "), "{warnings:?}");
    assert_eq!(unknown("sx_network_id=7"), Ok(vec![]));
    assert_eq!(unknown("sx_delivery=all"), Ok(vec![]));
    assert!(unknown("sx_delivery=network").unwrap_err().starts_with("context.sx_network_id: "));
}

#[test]
fn ranges() {
    for lines in [
        "deferred_for=0",
        "deferred_for=600000",
        "max_delivery_attempts=0",
        "max_delivery_attempts=10",
        "deferred_for=",
        "sx_network_id=7",
    ] {
        accept(lines);
    }
    for (field, values) in [
        ("deferred_for", ["-1", "600001", "30s", "1.5", "99999999999999999999"]),
        ("max_delivery_attempts", ["-1", "11", "many", "3.0", "1e1"]),
        ("sx_network_id", ["0", "-7", "x", "7.0", "99999999999999999999"]),
        ("sx_duplicates", ["yes", "1", "TRUE", "on", "0"]),
        ("sx_corrections", ["yes", "1", "TRUE", "on", "0"]),
        ("sx_delivery", ["everybody", "none", "ALL", "networks", "agency"]),
        ("sx_countries", ["USA", "U", "US;DE", "US,!DE", "US,,DE"]),
        ("sx_method", ["PUT", "DELETE", "G E T", "GET\\r", "HEAD"]),
        ("sx_body", ["json", "xml", "{\"a\":1", "[1}", "text"]),
        ("sx_required", ["nonsense", "click_id,nope", "click id", "{click_id}", "click_id;idfa"]),
    ] {
        for value in values {
            refuse(&format!("{field}={value}"), field);
        }
    }
}

#[test]
fn settings_that_only_work_together() {
    refuse("sx_delivery=network", "sx_network_id");
    refuse("sx_delivery=network_agency", "sx_network_id");
    accept("sx_delivery=network\nsx_network_id=7");
    refuse("sx_body=form\nsx_method=GET", "sx_method");
    accept("sx_body=form\nsx_method=post");
    accept("sx_body={\"v\":{event_value}}");
    accept("sx_required=click_id, idfa ,event_data.plan");
    accept("sx_countries=us, DE");
    accept("sx_countries=!CN,!RU");
}

#[test]
fn what_is_odd_is_said_but_allowed() {
    warn("sx_body={\"v\":{event_valu}}", "{event_valu}");
    warn("sx_filtre=x", "sx_filtre");
    warn("sx_default.clickid=0", "{clickid}");
    accept("sx_default.click_id=0\nsx_default.event_data.plan=free");
    for no_macro in ["{event_data.item-id}", "{click id}", "{CLICK:ID}", "{}", "{{click_id}"] {
        let warnings = validated(&format!("{}{no_macro}{{click_id}}", URL.trim_end())).unwrap();
        let stands = no_macro == "{{click_id}";
        assert_eq!(warnings.is_empty(), stands, "{no_macro}: {warnings:?}");
        assert!(stands || warnings[0].starts_with(no_macro), "{no_macro}: {warnings:?}");
    }
    warn("sx_headers={\"X-A\":\"{click-id}\"}", "{click-id}");
    let twice = "cpi_mostback_url=https://partner.example/{foo}?{foo}={event_time:isoo}";
    assert_eq!(validated(twice).unwrap().len(), 2);
}

#[test]
fn json_types_are_kept_and_read() {
    let mut trigger = trigger(1, TriggerKind::Event, URL);
    trigger.context.push(("deferred_for".into(), Value::Number("30000".into())));
    trigger.context.push(("sx_duplicates".into(), Value::Bool(true)));
    trigger.context.push(("sx_body".into(), Value::Json("{\"cid\":\"{click_id}\"}".into())));
    assert_eq!(validate(&trigger, None), Ok(vec![]));
    trigger.context.push(("max_delivery_attempts".into(), Value::Number("3.5".into())));
    assert!(validate(&trigger, None).is_err());
}

#[test]
fn headers_that_no_request_can_hold() {
    for value in ["", "k 1", "Bearer {context.key} ~!", "{event_data.note}", "{not_a_macro}", "{ }"] {
        let lines = format!("{URL}sx_headers={}", serde_json::json!({ "X-A": value }));
        assert!(validated(&lines).is_ok(), "{value}");
    }
    let long = "x".repeat(4_097);
    for value in
        ["a\r\nX-B: b", "a\nb", "Zo\u{eb}", "\t", "a\u{7f}", "{app_id}\u{0}", "\u{e9}{app_id}", &long]
    {
        refuse(&format!("sx_headers={}", serde_json::json!({ "X-Ok": "k", "X-A": value })), "sx_headers.X-A");
    }
}
