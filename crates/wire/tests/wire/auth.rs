//! Install authentication: the vectors of ingest.md section 11.

use wire::auth::{AuthOutcome, authenticate};

const KEY: &str = "0D5E2B1C-7A44-4F0E-9B1D-3C2A1F6E8D90";
const SECRET: &[u8] = b"s3xt4nt-demo-secret";
const BODY_A: &str = r#"{"action":"install","kochava_app_id":"kosextant-demo-ab12cd","kochava_device_id":"SX-0001","data":{"origination_ip":"203.0.113.24","device_ua":"","device_ver":"iPhone-iOS-17.5.1","device_ids":{"idfv":"3D5F0B1E-6C2A-4E57-9E0B-7A1C2D3E4F50"}}}"#;
const BODY_B: &str = r#"{"action":"install","kochava_app_id":"kosextant-demo-ab12cd","data":{"device_ua":"Mozilla/5.0 (iPhone)"}}"#;
const BODY_C: &str = r#"{"action":"install","kochava_app_id":"kosextant-demo-ab12cd","data":{"device_ua":"Mozilla\/5.0 (iPhone)"}}"#;
const TOKEN_A: &str = "7f6c2a2e27b2fb92bb81bf032e1ba2f32eaac614377e3766a9d9bb45aa42c4a0";
const TOKEN_B: &str = "59311c9978959f3ffbb0524a2e21336202bb237061a6484dea15418e9112701f";
const TOKEN_C: &str = "411343119292bbf6e8b441b2c9b6ff4c074d2dc672714e034901a926cc2d5892";

fn outcome(body: &str, key: Option<&str>, token: Option<&str>) -> AuthOutcome {
    authenticate(body.as_bytes(), KEY, SECRET, key, token)
}

#[test]
fn the_vectors_hold() {
    assert_eq!((BODY_A.len(), BODY_B.len(), BODY_C.len()), (241, 105, 106));
    let check =
        |body, token, expected| assert_eq!(outcome(body, Some(KEY), Some(token)), expected, "{body} {token}");
    check(BODY_A, TOKEN_A, AuthOutcome::Ok);
    check(BODY_B, TOKEN_B, AuthOutcome::Ok);
    check(BODY_B, TOKEN_C, AuthOutcome::Ok);
    check(BODY_C, TOKEN_C, AuthOutcome::Ok);
    check(BODY_C, TOKEN_B, AuthOutcome::Bad);
    check(BODY_A, TOKEN_B, AuthOutcome::Bad);
    check(BODY_A, &TOKEN_A.to_uppercase(), AuthOutcome::Ok);
}

#[test]
fn any_flipped_byte_fails() {
    for at in 0..BODY_A.len() {
        let mut body = BODY_A.as_bytes().to_vec();
        body[at] ^= 1;
        assert_eq!(authenticate(&body, KEY, SECRET, Some(KEY), Some(TOKEN_A)), AuthOutcome::Bad, "byte {at}");
    }
    for at in 0..TOKEN_A.len() {
        let mut token = TOKEN_A.to_owned();
        let other = if &token[at..=at] == "0" { "1" } else { "0" };
        token.replace_range(at..=at, other);
        assert_eq!(outcome(BODY_A, Some(KEY), Some(&token)), AuthOutcome::Bad, "digit {at}");
    }
}

#[test]
fn what_is_not_sent_is_missing_and_what_is_wrong_is_bad() {
    let check = |key, token, expected| assert_eq!(outcome(BODY_A, key, token), expected, "{key:?} {token:?}");
    check(None, None, AuthOutcome::Missing);
    check(Some(KEY), None, AuthOutcome::Missing);
    check(Some(KEY), Some(" "), AuthOutcome::Missing);
    check(None, Some(TOKEN_A), AuthOutcome::Missing);
    check(Some("other"), Some(TOKEN_A), AuthOutcome::Bad);
    check(Some(KEY), Some("not hex"), AuthOutcome::Bad);
    check(Some(KEY), Some("7f6"), AuthOutcome::Bad);
    check(Some(KEY), Some("é"), AuthOutcome::Bad);
    check(Some(KEY), Some(&TOKEN_A[..32]), AuthOutcome::Bad);
}
