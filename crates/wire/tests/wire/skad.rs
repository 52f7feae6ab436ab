//! Aggregate postbacks: Apple's own examples against Apple's own keys, and every layout against keys made
//! for the tests.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use measure::skad::{AggregatePostback, CoarseValue, ConversionType, Framework, Signed};
use p256::ecdsa::{DerSignature, Signature, SigningKey, signature::Signer as _};
use p256::pkcs8::EncodePublicKey as _;
use proptest::prelude::*;
use serde_json::{Value, json};
use wire::skad::{TrustedKeys, read};

/// Postbacks that Apple signed. 2.2, 3.0 and 4.0 stand in Apple's documentation. Of 2.0 and 2.1 it shows
/// none today; these two are from the tests of public libraries that verify postbacks.
const SIGNED_BY_APPLE: [&str; 7] = [
    r#"{"version":"2.0","ad-network-id":"KBD757YWX3.skadnetwork","campaign-id":59,"app-id":1499436635,
        "transaction-id":"e3584a40-70a3-4b8b-929d-c17f9ee3ec16","redownload":true,
        "attribution-signature":"MDYCGQDL5TmkKdUBVmmjBy0WnWQuknPSz9UHQXQCGQDrlCxEJVsuRu6adMP1+DtCQjNQ0+osGTw="}"#,
    r#"{"version":"2.1","ad-network-id":"com.example","campaign-id":42,"app-id":525463029,
        "transaction-id":"6aafb7a5-0170-41b5-bbe4-fe71dedf1e28","redownload":true,
        "source-app-id":1234567891,"conversion-value":20,"attribution-signature":
        "MEUCID6rbq3qt4GvFaAaynh5/LAcvn1d8CQTRhrZhLIxLKntAiEAo7IrvoMw6u2qDg6Tr5vIsEHXjlLkPlCOL0ojJcEh3Qw="}"#,
    r#"{"version":"2.2","ad-network-id":"com.example","campaign-id":42,"app-id":525463029,
        "transaction-id":"6aafb7a5-0170-41b5-bbe4-fe71dedf1e28","redownload":true,
        "source-app-id":1234567891,"fidelity-type":1,"conversion-value":20,"attribution-signature":
        "MEYCIQDTuQ1Z4Tpy9D3aEKbxLl5J5iKiTumcqZikuY/AOD2U7QIhAJAaiAv89AoquHXJffcieEQXdWHpcV8ZgbKN0EwV9/sY"}"#,
    r#"{"version":"3.0","ad-network-id":"example123.skadnetwork","campaign-id":42,"app-id":525463029,
        "transaction-id":"6aafb7a5-0170-41b5-bbe4-fe71dedf1e28","redownload":true,
        "source-app-id":1234567891,"fidelity-type":1,"conversion-value":20,"did-win":true,
        "attribution-signature":
        "MEYCIQD5eq3AUlamORiGovqFiHWI4RZT/PrM3VEiXUrsC+M51wIhAPMANZA9c07raZJ64gVaXhB9+9yZj/X6DcNxONdccQij"}"#,
    r#"{"version":"3.0","ad-network-id":"example123.skadnetwork","campaign-id":42,"app-id":525463029,
        "transaction-id":"f9ac267a-a889-44ce-b5f7-0166d11461f0","redownload":true,"fidelity-type":1,
        "did-win":false,"attribution-signature":
        "MEUCIQDDetUtkyc/MiQvVJ5I6HIO1E7l598572Wljot2Onzd4wIgVJLzVcyAV+TXksGNoa0DTMXEPgNPeHCmD4fw1ABXX0g="}"#,
    r#"{"version":"4.0","ad-network-id":"com.example","source-identifier":"5239","app-id":525463029,
        "transaction-id":"6aafb7a5-0170-41b5-bbe4-fe71dedf1e30","redownload":false,
        "source-domain":"example.com","fidelity-type":1,"did-win":true,"conversion-value":63,
        "postback-sequence-index":0,"attribution-signature":
        "MEUCIGRmSMrqedNu6uaHyhVcifs118R5z/AB6cvRaKrRRHWRAiEAv96ne3dKQ5kJpbsfk4eYiePmrZUU6sQmo+7zfP/1Bxo="}"#,
    r#"{"version":"4.0","ad-network-id":"com.example","source-identifier":"39","app-id":525463029,
        "transaction-id":"6aafb7a5-0170-41b5-bbe4-fe71dedf1e31","redownload":false,
        "source-domain":"example.com","fidelity-type":1,"did-win":true,"coarse-conversion-value":"high",
        "postback-sequence-index":0,"attribution-signature":
        "MEUCIQD4rX6eh38qEhuUKHdap345UbmlzA7KEZ1bhWZuYM8MJwIgMnyiiZe6heabDkGwOaKBYrUXQhKtF3P/ERHqkR/XpuA="}"#,
];

/// An AdAttributionKit postback of Apple's documentation, signed with `apple-development-identifier/1`.
const DEVELOPMENT: &str = r#"{"jws-string":"eyJraWQiOiJhcHBsZS1kZXZlbG9wbWVudC1pZGVudGlmaWVyXC8xIiwiYWxnIjoiRVMyNTYifQ.eyJwb3N0YmFjay1pZGVudGlmaWVyIjoiODU1NDZFQjctRkQzOS00NEJDLTg5OTAtQzk4QTRBQzM2QTQ5IiwicHVibGlzaGVyLWl0ZW0taWRlbnRpZmllciI6MCwibWFya2V0cGxhY2UtaWRlbnRpZmllciI6ImNvbS5hcHBsZS5BcHBTdG9yZSIsImltcHJlc3Npb24tdHlwZSI6ImFwcC1pbXByZXNzaW9uIiwiYWQtbmV0d29yay1pZGVudGlmaWVyIjoiZGV2ZWxvcG1lbnQuYWRhdHRyaWJ1dGlvbmtpdCIsImRpZC13aW4iOnRydWUsInBvc3RiYWNrLXNlcXVlbmNlLWluZGV4IjowLCJjb252ZXJzaW9uLXR5cGUiOiJyZS1lbmdhZ2VtZW50Iiwic291cmNlLWlkZW50aWZpZXIiOiIxMjM0IiwiYWR2ZXJ0aXNlZC1pdGVtLWlkZW50aWZpZXIiOjEwNzM4MDI3NzU2fQ.bAdNwKd6OfHK9tofvjjua4X_JPcFTxXPQSspD9gZkinw97pY7R1aI-LSjl-oxZZF3_K2H5JK5TSEBee4_1U4oQ","conversion-value":24,"ad-interaction-type":"click","country-code":"US"}"#;

/// A P-192 key made for these tests. No library here signs with that curve, so its signatures are made
/// outside.
const EARLY_KEY: &str =
    "MEkwEwYHKoZIzj0CAQYIKoZIzj0DAQEDMgAEB2lDluAnJMxoeOlXruh4yMeirjUKnY4qoj37WeSnBtD4PlFJrnbTLZR4safUolKF";

fn secret() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).unwrap()
}

fn public(secret: &SigningKey) -> String {
    STANDARD.encode(secret.verifying_key().to_public_key_der().unwrap().as_bytes())
}

/// Keys made for these tests, in the places of Apple's.
fn keys() -> TrustedKeys {
    let key = public(&secret());
    let jws = [("production/0", &*key, Signed::Production), ("development/0", &*key, Signed::Development)];
    TrustedKeys::new(EARLY_KEY, &key, &jws).unwrap()
}

fn verified(keys: &TrustedKeys, body: &str) -> Result<AggregatePostback, String> {
    verified_with(keys, body, "", true)
}

fn verified_with(
    keys: &TrustedKeys,
    body: &str,
    query: &str,
    accept_development: bool,
) -> Result<AggregatePostback, String> {
    let read = read(body.as_bytes(), query);
    read.and_then(|read| read.verify(keys, accept_development)).map_err(|refusal| {
        assert_eq!(refusal.status, 400);
        refusal.error
    })
}

/// A version's postback with every field that it may have, and the names of the signed ones in order.
fn layout(version: &str) -> (Value, Vec<&'static str>) {
    let mut body = json!({
        "version": version, "ad-network-id": "example123.skadnetwork", "app-id": 525463029,
        "transaction-id": "6aafb7a5-0170-41b5-bbe4-fe71dedf1e28", "redownload": false,
        "source-app-id": 1234567891, "conversion-value": 20,
    });
    let mut names = vec!["version", "ad-network-id"];
    let new = version == "4.0";
    body[if new { "source-identifier" } else { "campaign-id" }] = if new { json!("5239") } else { json!(42) };
    names.push(if new { "source-identifier" } else { "campaign-id" });
    names.extend(["app-id", "transaction-id", "redownload", "source-app-id"]);
    for (since, name, value) in [
        ("2.2", "fidelity-type", json!(1)),
        ("3.0", "did-win", json!(true)),
        ("4.0", "postback-sequence-index", json!(0)),
    ] {
        if version >= since {
            body[name] = value;
            names.push(name);
        }
    }
    (body, names)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Signs the named fields, those that are there.
fn sign(mut body: Value, names: &[&str]) -> Value {
    let values: Vec<String> = names.iter().filter_map(|name| body.get(name)).map(text).collect();
    let signature: DerSignature = secret().sign(values.join("\u{2063}").as_bytes());
    body["attribution-signature"] = STANDARD.encode(signature.as_bytes()).into();
    body
}

fn signed(version: &str) -> Value {
    let (body, names) = layout(version);
    sign(body, &names)
}

fn jws(kid: &str, header: &Value, payload: &Value) -> String {
    let mut header = header.clone();
    header["kid"] = kid.into();
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(&header), part(payload));
    let signature: Signature = secret().sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

fn payload() -> Value {
    json!({
        "postback-identifier": "85546EB7-FD39-44BC-8990-C98A4AC36A49", "ad-network-identifier": "com.example",
        "source-identifier": "1234", "advertised-item-identifier": 525463029, "did-win": true,
        "conversion-type": "download", "impression-type": "app-impression", "postback-sequence-index": 2,
        "marketplace-identifier": "com.apple.AppStore", "publisher-item-identifier": 5838492,
    })
}

fn kit(kid: &str, payload: &Value) -> String {
    json!({ "jws-string": jws(kid, &json!({ "alg": "ES256" }), payload), "coarse-conversion-value": "low" })
        .to_string()
}

#[test]
fn what_apple_signed_passes_with_apples_keys() {
    let keys = TrustedKeys::apple().unwrap();
    for body in SIGNED_BY_APPLE {
        let postback = verified(&keys, body).unwrap();
        assert_eq!(postback.signed, Signed::Production, "{body}");
        assert_eq!(postback.framework, Framework::SkAdNetwork);
        let other = self::keys();
        assert!(verified(&other, body).unwrap_err().starts_with("bad_signature"), "{body}");
    }
    let test = verified(&keys, DEVELOPMENT).unwrap();
    assert_eq!((test.signed, test.framework), (Signed::Development, Framework::AdAttributionKit));
    assert_eq!((test.source.as_str(), test.app_store_id.as_str()), ("1234", "10738027756"));
    assert_eq!((test.conversion, test.advisory.fine_value), (ConversionType::Reengagement, Some(24)));
}

#[test]
fn apples_examples_are_understood() {
    let keys = TrustedKeys::apple().unwrap();
    let [_, _, two, three, lost, four, coarse] = SIGNED_BY_APPLE.map(|body| verified(&keys, body).unwrap());
    assert_eq!((two.source.as_str(), two.fidelity, two.did_win, two.window), ("42", Some(1), None, 0));
    assert_eq!(three.source_app.as_deref(), Some("1234567891"));
    assert_eq!((three.conversion.clone(), three.won()), (ConversionType::Redownload, true));
    assert_eq!((lost.source_app.clone(), lost.won()), (None, false));
    assert_eq!((four.source.as_str(), four.source_domain.as_deref()), ("5239", Some("example.com")));
    assert_eq!((four.conversion.clone(), four.advisory.fine_value), (ConversionType::Download, Some(63)));
    assert_eq!((coarse.source.as_str(), coarse.advisory.coarse_value), ("39", Some(CoarseValue::High)));
}

#[test]
fn every_version_signs_its_own_fields() {
    for version in ["2.1", "2.2", "3.0", "4.0"] {
        let (body, names) = layout(version);
        let signed = sign(body.clone(), &names);
        assert!(verified(&keys(), &signed.to_string()).is_ok(), "{version}");
        // Each signed field counts: changed, left out or moved to another version it no longer passes.
        for name in &names {
            let mut changed = signed.clone();
            changed[name] = match &signed[name] {
                Value::Bool(truth) => (!truth).into(),
                Value::Number(_) if name.ends_with("-type") || name.ends_with("index") => 0.into(),
                Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
                _ if *name == "version" => (if version == "2.1" { "2.2" } else { "2.1" }).into(),
                _ if *name == "source-identifier" => "5238".into(),
                text => format!("{}x", text.as_str().unwrap()).into(),
            };
            if changed[name] != signed[name] {
                assert!(verified(&keys(), &changed.to_string()).is_err(), "{version} {name}");
            }
            let mut without = signed.clone();
            without.as_object_mut().unwrap().remove(*name);
            assert!(verified(&keys(), &without.to_string()).is_err(), "{version} without {name}");
        }
        // The source may be missing, when it was not signed either.
        let mut anonymous = body;
        anonymous.as_object_mut().unwrap().remove("source-app-id");
        assert!(verified(&keys(), &sign(anonymous, &names).to_string()).is_ok(), "{version}");
        // The values of the conversion are not signed.
        let mut advisory = signed;
        advisory["conversion-value"] = 63.into();
        assert_eq!(verified(&keys(), &advisory.to_string()).unwrap().advisory.fine_value, Some(63));
    }
}

#[test]
fn version_2_0_has_a_key_of_another_curve() {
    let check = |change: fn(&mut Value), passes: bool| {
        let mut body = layout("2.0").0;
        body["redownload"] = true.into();
        body["attribution-signature"] =
            "MDUCGQCv9HLvBDsCeVPQugjTG+KfzzT4Wbg/f10CGA+3HjUMIlKDP/QHDg0ntPiXQsX+IOdB7Q==".into();
        change(&mut body);
        assert_eq!(verified(&keys(), &body.to_string()).is_ok(), passes, "{body}");
    };
    check(|_| {}, true);
    check(|body| body["conversion-value"] = 1.into(), true);
    check(|body| body["campaign-id"] = 43.into(), false);
    check(|body| body["version"] = "2.1".into(), false);
    check(|body| drop(body.as_object_mut().unwrap().remove("source-app-id")), false);
    let mut anonymous = layout("2.0").0;
    anonymous.as_object_mut().unwrap().remove("source-app-id");
    anonymous["transaction-id"] = "f9ac267a-a889-44ce-b5f7-0166d11461f0".into();
    anonymous["attribution-signature"] =
        "MDUCGQDkGqNWqmFIzRdKZhXN3QRDpZCiSnNo3B0CGHGwxHzP0FeKdqzkSoE+qBc/Y5emXr8R3w==".into();
    assert!(verified(&keys(), &anonymous.to_string()).is_ok());
    // A signature of the newer key does not stand in for one of the older.
    assert!(verified(&keys(), &signed("2.0").to_string()).is_err());
}

#[test]
fn three_windows_of_one_transaction_are_three() {
    let (body, names) = layout("4.0");
    let windows: Vec<AggregatePostback> = (0..3)
        .map(|window| {
            let mut body = body.clone();
            body["postback-sequence-index"] = window.into();
            verified(&keys(), &sign(body, &names).to_string()).unwrap()
        })
        .collect();
    let keys: std::collections::BTreeSet<_> = windows.iter().map(AggregatePostback::key).collect();
    assert_eq!((keys.len(), windows[2].window), (3, 2));
}

#[test]
fn what_is_wrong_is_named() {
    let check = |version: &str, change: fn(&mut Value), expected: &str| {
        let mut body = signed(version);
        change(&mut body);
        let error = verified(&keys(), &body.to_string()).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    };
    fn without(body: &mut Value, name: &str) {
        body.as_object_mut().unwrap().remove(name);
    }
    check("4.0", |body| body["version"] = "5.0".into(), "version \"5.0\" is not known");
    check("4.0", |body| without(body, "version"), "version is missing");
    check("4.0", |body| without(body, "app-id"), "app-id is missing");
    check("4.0", |body| without(body, "attribution-signature"), "attribution-signature is missing");
    check("4.0", |body| body["attribution-signature"] = "!".into(), "bad_signature");
    check("4.0", |body| body["source-identifier"] = "".into(), "source-identifier is missing");
    check("4.0", |body| body["source-domain"] = "example.com".into(), "source-app-id and source-domain");
    check("4.0", |body| body["postback-sequence-index"] = 3.into(), "postback-sequence-index must be");
    check("4.0", |body| body["fidelity-type"] = 2.into(), "fidelity-type must be");
    check("3.0", |body| body["did-win"] = "maybe".into(), "did-win must be true or false");
    check("3.0", |body| body["app-id"] = "x".into(), "app-id must be a whole number");
    check("3.0", |body| body["transaction-id"] = json!([1]), "transaction-id must be");
    // Two values in one, which would be signed alike.
    check("2.1", |body| body["ad-network-id"] = "a\u{2063}b".into(), "ad-network-id must be");
    for body in ["", "[]", "{", "\"x\"", "version=4.0"] {
        assert!(read(body.as_bytes(), "").is_err(), "{body}");
    }
    assert!(read(b"\xff", "").is_err());
}

#[test]
fn forwarded_texts_for_numbers_and_truths_are_the_same_postback() {
    let mut body = signed("4.0");
    for name in
        ["app-id", "redownload", "source-app-id", "fidelity-type", "did-win", "postback-sequence-index"]
    {
        body[name] = text(&body[name]).into();
    }
    assert!(verified(&keys(), &body.to_string()).is_ok());
}

#[test]
fn what_is_not_signed_is_kept_and_decides_nothing() {
    let mut body = signed("2.1");
    body["did-win"] = false.into();
    body["fidelity-type"] = 0.into();
    body["conversion-value"] = 64.into();
    body["partner-campaign-name"] = "Spring".into();
    let postback = verified_with(&keys(), &body.to_string(), "network=Blue&x=a%20b", false).unwrap();
    assert_eq!((postback.did_win, postback.fidelity, postback.advisory.fine_value), (None, None, None));
    let params = postback.advisory.params;
    for (name, value) in [
        ("did-win", "false"),
        ("fidelity-type", "0"),
        ("conversion-value", "64"),
        ("partner-campaign-name", "Spring"),
        ("network", "Blue"),
        ("x", "a b"),
    ] {
        assert!(params.contains(&(name.to_owned(), value.to_owned())), "{name}: {params:?}");
    }
    assert_eq!(params.len(), 6, "{params:?}");
}

#[test]
fn adattributionkit_is_read_from_its_signature() {
    let postback = verified(&keys(), &kit("production/0", &payload())).unwrap();
    assert_eq!((postback.signed, postback.window), (Signed::Production, 2));
    assert_eq!((postback.app_store_id.as_str(), postback.source.as_str()), ("525463029", "1234"));
    assert_eq!(postback.transaction, "85546EB7-FD39-44BC-8990-C98A4AC36A49");
    assert_eq!(postback.advisory.coarse_value, Some(CoarseValue::Low));
    assert!(postback.advisory.params.is_empty(), "{:?}", postback.advisory.params);
}

#[test]
fn development_postbacks_pass_only_when_they_are_wanted() {
    let body = kit("development/0", &payload());
    assert_eq!(verified_with(&keys(), &body, "", true).unwrap().signed, Signed::Development);
    assert!(verified_with(&keys(), &body, "", false).unwrap_err().starts_with("development_key"));
    let apple = TrustedKeys::apple().unwrap();
    assert!(verified_with(&apple, DEVELOPMENT, "", false).unwrap_err().starts_with("development_key"));
}

#[test]
fn a_signature_of_another_form_is_none() {
    let check = |jws: &str, expected: &str| {
        let error = verified(&keys(), &json!({ "jws-string": jws }).to_string()).unwrap_err();
        assert!(error.starts_with(expected), "{jws}: {error}");
    };
    let good = jws("production/0", &json!({ "alg": "ES256" }), &payload());
    let (message, _) = good.rsplit_once('.').unwrap();
    check(&jws("unknown/0", &json!({ "alg": "ES256" }), &payload()), "bad_signature");
    check(&jws("production/0", &json!({ "alg": "none" }), &payload()), "jws-string must have alg ES256");
    check(
        &jws("production/0", &json!({ "alg": "ES256", "crit": ["x"] }), &payload()),
        "jws-string must have no crit",
    );
    check(&format!("{message}."), "bad_signature");
    check(&format!("{good}A"), "bad_signature");
    check(message, "jws-string must have three parts");
    check(&format!("{good}."), "jws-string must have three parts");
    check("a.b.c", "jws-string must have");
    check("", "jws-string must have");
    let mut partial = payload();
    partial.as_object_mut().unwrap().remove("did-win");
    check(&jws("production/0", &json!({ "alg": "ES256" }), &partial), "did-win is missing");
}

proptest! {
    /// No change of one byte leaves a signature valid and the signed part different.
    #[test]
    fn a_flipped_byte_never_passes_for_something_else(at in 0_usize..2_000, bit in 0_u8..7, kit_form: bool) {
        let body = if kit_form { kit("production/0", &payload()) } else { signed("4.0").to_string() };
        let mut bytes = body.clone().into_bytes();
        let place = at % bytes.len();
        bytes[place] ^= 1 << bit;
        let signed_part = |postback: AggregatePostback| AggregatePostback {
            advisory: measure::skad::Advisory::default(),
            ..postback
        };
        if let Ok(postback) = read(&bytes, "").and_then(|read| read.verify(&keys(), true)) {
            let original = verified(&keys(), &body).unwrap();
            prop_assert_eq!(signed_part(postback), signed_part(original));
        }
    }

    /// Nothing that is sent makes it panic.
    #[test]
    fn anything_may_come(body in proptest::collection::vec(any::<u8>(), 0..300), query in ".{0,40}") {
        let _refused = read(&body, &query);
    }
}
