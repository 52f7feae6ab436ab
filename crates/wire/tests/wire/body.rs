//! Taking bodies apart (ingest.md section 15).

use wire::s2s::{Element, elements};

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
