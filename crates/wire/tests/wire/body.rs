//! Taking bodies apart (ingest.md section 15).

use wire::s2s::{Element, Endpoint, elements, outline};

fn texts(body: &[u8]) -> Vec<String> {
    let elements = elements(body).unwrap().elements;
    elements.iter().map(|element| element.as_ref().map_or("refused", Element::text).to_owned()).collect()
}

#[test]
fn the_first_byte_decides() {
    let check = |body: &[u8], expected: &[&str]| assert_eq!(texts(body), expected, "{}", body.escape_ascii());
    check(b"{\"a\":1}", &["{\"a\":1}"]);
    check(b" \n\t{\"a\" : 1.50} \r\n", &["{\"a\" : 1.50}"]);
    check(b"\xef\xbb\xbf{\"a\":1}", &["{\"a\":1}"]);
    check(b"\n\xef\xbb\xbf {}", &["{}"]);
    check(b"[ {\"a\": 1} , {} ]", &["{\"a\": 1}", "{}"]);
    check(b"[{}, 1, null, [], \"x\"]", &["{}", "refused", "refused", "refused", "refused"]);
    check(b"a=1&b=x%20y+z", &[r#"{"a":"1","b":"x y z"}"#]);
    check(b"d[i][a]=1&d[i][b]=2&d[n]=3", &[r#"{"d":{"i":{"a":"1","b":"2"},"n":"3"}}"#]);
    check(b"d%5Bi%5D%5Ba%5D=1", &[r#"{"d":{"i":{"a":"1"}}}"#]);
    check(b"l[]=1&l[]=2", &[r#"{"l":["1","2"]}"#]);
    check(b"l[0][a]=1&l[1][a]=2", &[r#"{"l":[{"a":"1"},{"a":"2"}]}"#]);
    check(b"a=1&a=2", &[r#"{"a":"2"}"#]);
    check(b"a=1&a[b]=2", &[r#"{"a":{"b":"2"}}"#]);
}

#[test]
fn what_cannot_be_taken_apart_is_refused() {
    let check = |name: &str, body: &[u8], expected: u16| {
        assert_eq!(elements(body).map(|_| ()).unwrap_err().status, expected, "{name}");
    };
    check("empty", b"", 400);
    check("only space", b" \n", 400);
    check("only a mark", b"\xef\xbb\xbf", 400);
    check("empty array", b"[]", 400);
    check("cut off", b"{\"a\":", 400);
    check("two objects", b"{}{}", 400);
    check("broken array", b"[{},{]", 400);
    check("words", b"hello", 400);
    check("xml", b"<a>b</a>", 400);
    check("not utf-8", b"{\"a\":\"\xff\"}", 400);
    check("deep", format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40)).as_bytes(), 400);
    check("very deep", &b"[".repeat(1_000_000), 400);
    check("deep form", format!("a{}=1", "[a]".repeat(40)).as_bytes(), 400);
    check("many values", format!("{{\"a\":[{}1]}}", "1,".repeat(20_000)).as_bytes(), 400);
    check("many pairs", "a=1&".repeat(20_000).as_bytes(), 413);
    check("many elements", format!("[{}1]", "1,".repeat(30_000)).as_bytes(), 413);
}

#[test]
fn one_bad_element_leaves_the_others() {
    let deep = format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40));
    let body = elements(format!("[{{}},{deep},{{\"b\":1}}]").as_bytes()).unwrap();
    let taken: Vec<bool> = body.elements.iter().map(Result::is_ok).collect();
    assert!(body.is_array);
    assert_eq!(taken, [true, false, true]);
}

#[test]
fn an_element_knows_its_envelope() {
    let body =
        br#"{"action":"event","kochava_app_id":"k","nt_id":"n","sdk_version":"WebTracker 3.0.4 (React)"}"#;
    let body = elements(body).unwrap();
    let element = body.elements[0].as_ref().unwrap();
    assert_eq!(element.action(), Some("event"));
    assert_eq!(element.app_guid(), Some("k"));
    assert_eq!(element.nt_id(), Some("n"));
    let spaced = elements(br#"{"kochava_app_id":" k "}"#).unwrap();
    assert_eq!(spaced.elements[0].as_ref().unwrap().app_guid(), Some("k"));
    assert!(element.is_web_sdk());
    let hash = |text: &str| elements(text.as_bytes()).unwrap().elements[0].as_ref().unwrap().body_hash();
    assert_eq!(hash("{\"a\":1}"), hash(" {\"a\":1}\n"));
    assert_ne!(hash("{\"a\":1}"), hash("{\"a\":2}"));
}

#[test]
fn masking_hides_identifiers_wherever_they_stand() {
    let body = r#"{"action":"event","kochava_app_id":"ko-1","kochava_device_id":"SX-12345678","data":{"device_ids":{"IDFA":"7C9E6679-7425-40DE-944B-E07FC1F90AE7","adid":"","custom":5},"event_name":"x","event_data":{"copy":"id 7c9e6679742540de944be07fc1f90ae7","sum":1.50},"identity_link":{"user_id":"u-42"}}}"#;
    let element = elements(body.as_bytes()).unwrap().elements.remove(0).unwrap();
    let expected = r#"{"action":"event","kochava_app_id":"ko-1","kochava_device_id":"***","data":{"device_ids":{"IDFA":"***","adid":"","custom":"***"},"event_name":"x","event_data":{"copy":"***","sum":1.50},"identity_link":{"user_id":"***"}}}"#;
    assert_eq!(element.masked(), expected);
    let link = r#"{"kochava_app_id":"ko-1","device_id":"abc","data":{"email":"a@example.com"}}"#;
    let element = elements(link.as_bytes()).unwrap().elements.remove(0).unwrap();
    assert_eq!(element.masked(), r#"{"kochava_app_id":"ko-1","device_id":"***","data":{"email":"***"}}"#);
    let address = r#"{"action":"event","data":{"origination_ip":"203.0.113.24","ip_address":"192.0.2.1","seen":"from 203.0.113.24","app_version":"1.2.3.4"}}"#;
    let element = elements(address.as_bytes()).unwrap().elements.remove(0).unwrap();
    let expected = r#"{"action":"event","data":{"origination_ip":"***","ip_address":"***","seen":"***","app_version":"1.2.3.4"}}"#;
    assert_eq!(element.masked(), expected);
}

#[test]
fn what_may_be_an_identity_link_is_masked_as_one() {
    let check = |action: &str, is_link: bool| {
        let body = |mail: &str| format!(r#"{{{action}"kochava_app_id":"ko-1","data":{{"email":"{mail}"}}}}"#);
        let element = elements(body("joe@example.com").as_bytes()).unwrap().elements.remove(0).unwrap();
        let expected = body(if is_link { "***" } else { "joe@example.com" });
        assert_eq!(element.masked(), expected);
        assert_eq!(element.masked_at(Endpoint::TrackJson), expected);
        assert_eq!(element.masked_at(Endpoint::IdentityLink), body("***"), "{action}");
    };
    for other in ["install", "event", "update"] {
        check(&format!(r#""action":"{other}","#), false);
    }
    let links =
        ["identityLink", "IdentityLink", "identitylink", "identity_link", " identityLink", "", "Event"];
    for link in links {
        check(&format!(r#""action":"{link}","#), true);
    }
    check("", true);
    check(r#""action":5,"#, true);
    let deep = format!(
        r#"[{{"action":"event","data":{{"email":"joe@example.com","a":{}1{}}}}}]"#,
        "[".repeat(40),
        "]".repeat(40)
    );
    let bad = elements(deep.as_bytes()).unwrap().elements.remove(0).unwrap_err();
    assert!(bad.masked_at(Endpoint::TrackJson).contains("joe@example.com"));
    assert!(!bad.masked_at(Endpoint::IdentityLink).contains("joe@example.com"));
}

/// A text as JSON writes it.
fn written(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[test]
fn masking_reaches_into_texts() {
    let idfa = "DEADBEEF-7425-40DE-944B-E07FC1F90AE7";
    let masked = |body: &str| elements(body.as_bytes()).unwrap().elements.remove(0).unwrap().masked();
    let hides = |body: &str, secret: &str| {
        let shown = masked(body).to_lowercase();
        assert!(!shown.contains(&secret.to_lowercase()), "{body}: {shown}");
    };
    let data = format!(
        r#"{{"event_name":"E","device_ids":{{"idfa":"{idfa}","custom":"me"}},"app_tracking_transparency":{{"att":false}}}}"#
    );
    let head = r#""action":"event","kochava_app_id":"kodemo-3f2a9c1b0d4e5f6a","kochava_device_id":"J1""#;
    let body = format!("{{{head},\"data\":{}}}", written(&data));
    hides(&body, idfa);
    hides(&body, "\\\"me");
    assert!(masked(&body).contains(r#"\"event_name\":\"E\""#), "the rest stays: {}", masked(&body));
    assert!(masked(&body).contains("kodemo-3f2a9c1b0d4e5f6a"), "so does the app: {}", masked(&body));
    hides(&format!("{{\"data\":{}}}", written(&format!(r#"{{"device_ids":{{"adid":"{idfa}"}}}}"#))), idfa);
    hides(&format!("{{{head},\"data\":{{\"a\":{}}}}}", written(&format!("[{}]", written(&data)))), idfa);
    hides(&format!("{{{head},\"data\":{}}}", written(data.trim_end_matches('}'))), "\"me");
    hides(&format!("{{{head},\"data\":{}}}", written(data.trim_end_matches('}'))), idfa);
    let form: String = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("action", "event"), ("data", &data)])
        .finish();
    hides(&form, idfa);
    // What looks like an identifier is one, whatever it is called; times and versions stay.
    hides(&format!(r#"{{{head},"data":{{"x":"id {idfa}"}}}}"#), idfa);
    hides(&format!(r#"{{{head},"data":{{"{idfa}":1}}}}"#), idfa);
    hides(
        r#"{"action":"event","data":{"device_ids":{"idfa":"{DEADBEEF-7425-40DE-944B-E07FC1F90AE7}"}}}"#,
        idfa,
    );
    let plain = r#"{"action":"event","data":{"at":"2025-10-10T12:40:00.000Z","app_version":"1.2.3.4","usertime":"1760000000000","idfa":"{idfa}"}}"#;
    assert_eq!(masked(plain), plain);
    // Keys are case-insensitive.
    let shouted = r#"{"action":"event","ORIGINATION_IP":"192.0.2.1","Kochava_Device_Id":"J1","IP":"192.0.2.2","Identity_Link":{"a":"b"}}"#;
    let expected = r#"{"action":"event","ORIGINATION_IP":"***","Kochava_Device_Id":"***","IP":"***","Identity_Link":{"a":"***"}}"#;
    assert_eq!(masked(shouted), expected);
    assert_eq!(
        wire::quarantine::masked(&shouted.as_bytes()[..shouted.len() - 1]),
        expected.trim_end_matches("}}").to_owned() + "}"
    );
}

#[test]
fn numbers_of_any_size_are_taken_and_limits_are_named() {
    for number in
        ["1e999999999", "-1E+400", &"9".repeat(400), &format!("-{}.5", "1".repeat(400)), "1e-999999999"]
    {
        let body = format!(r#"{{"a":{number},"b":"1e999","c":1.50}}"#);
        assert_eq!(texts(body.as_bytes()), [body.as_str()]);
    }
    for broken in ["01e999", "1.e999", "1e999x", "1e", "-e999", &format!("0{}", "9".repeat(400))] {
        let body = format!(r#"{{"a":{broken},"b":1e999}}"#);
        assert_eq!(elements(body.as_bytes()).map(|_| ()).unwrap_err().status, 400, "{broken}");
    }
    let refusal = |body: &str| elements(body.as_bytes()).map(|_| ()).unwrap_err().error;
    let many = refusal(&format!("{{\"a\":[{}1]}}", "1,".repeat(100_000)));
    assert!(many.contains("10000 values") && !many.contains("JSON"), "{many}");
    let deep = refusal(&format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40)));
    assert!(deep.contains("32 levels") && !deep.contains("JSON"), "{deep}");
    assert!(refusal("{\"a\":}").contains("not valid JSON"));
}

#[test]
fn half_a_character_is_the_replacement_character() {
    let check = |written: &str, read: &str| {
        for body in
            [format!(r#"{{"kochava_app_id":"{written}"}}"#), format!(r#"[{{"kochava_app_id":"{written}"}}]"#)]
        {
            let element = elements(body.as_bytes()).unwrap().elements.remove(0).unwrap();
            assert_eq!(element.app_guid(), Some(read), "{body}");
            assert!(body.contains(element.text()), "the text stays: {body}");
        }
    };
    check(r"abc\ud83d", "abc\u{fffd}");
    check(r"abc\uD83D!", "abc\u{fffd}!");
    check(r"\udE00abc", "\u{fffd}abc");
    check(r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}");
    check(r"\ud83d\ude00\ude00", "\u{1f600}\u{fffd}");
    check(r"\ud83d\n\u00e9", "\u{fffd}\n\u{e9}");
    check(r"\\ud83d\ud83d", "\\ud83d\u{fffd}");
    check(r"\ude00\ud83d", "\u{fffd}\u{fffd}");
    check(r"\ud83d\\ude00", "\u{fffd}\\ude00");
    check(r#"\"\ud83d\""#, "\"\u{fffd}\"");
    // Beside a number that is too large in binary, and as a key.
    let body = r#"{"a\ud83d":1e999,"b":{"\udc00":1.50},"kochava_app_id":"k"}"#;
    let element = elements(body.as_bytes()).unwrap().elements.remove(0).unwrap();
    assert_eq!((element.app_guid(), element.text()), (Some("k"), body));
    for broken in
        [r#"{"a":"\ud8"}"#, r#"{"a":"\ud83d}"#, r#"{"a":\ud83d}"#, r#"{"a":"\ud83d\x"}"#, r#"{"a":"\u+83d"}"#]
    {
        assert_eq!(elements(broken.as_bytes()).map(|_| ()).unwrap_err().status, 400, "{broken}");
    }
}

#[test]
fn what_is_too_much_tells_whose_it_is() {
    let head =
        r#""kochava_app_id":" k ","sdk_version":"WebTracker 3.0.4","nt_id":"n\ud83d","action":"event""#;
    let deep = format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    let many = format!("[{}1]", "1,".repeat(20_000));
    for data in [deep, many] {
        for body in
            [format!(r#"{{{head},"data":{data}}}"#), format!(r#"{{"data":{data},"nt_id":"x",{head}}}"#)]
        {
            assert!(elements(body.as_bytes()).is_err());
            let outline = outline(body.as_bytes()).unwrap();
            assert_eq!((outline.app_guid(), outline.action()), (Some("k"), Some("event")));
            assert_eq!((outline.nt_id(), outline.is_web_sdk()), (Some("n\u{fffd}"), true));
        }
    }
    for none in ["", "[]", "1", "{\"a\":", "a=1", "{}{}"] {
        assert!(outline(none.as_bytes()).is_none(), "{none}");
    }
}
