use super::*;

/// The identifier of the table in tracking-and-attribution.md section 7.
const WRITTEN: &str = "7C9E6679-7425-40DE-944B-E07FC1F90AE7";

fn digest_of(upper: bool, separators: bool, hashes: &[DigestLength]) -> String {
    let outermost = *hashes.last().expect("a hash");
    let form = Form { upper, separators, first: hashes[0], second: hashes.get(1).copied() };
    forms(WRITTEN, outermost)
        .into_iter()
        .find(|(other, _)| *other == form)
        .map(|(_, digest)| digest.as_str().to_owned())
        .expect("the form")
}

#[test]
fn the_table_of_forms() {
    use DigestLength::{Md5, Sha1};
    for (upper, separators, hashes, expected) in [
        (true, true, &[Md5][..], "358f3cc563911c41542fa3394787f529"),
        (true, true, &[Sha1], "0bc9f5a04df672e1b1d157563baf7e93f65490f0"),
        (false, true, &[Md5], "04e92dfec7a6939d7b2f65a2c267abb8"),
        (false, true, &[Sha1], "2b8734dd8ba2c30d3468bce86b2df733592f5f2f"),
        (true, false, &[Md5], "d12b0bf5273c05eb20bdeb3fd69af11d"),
        (true, false, &[Sha1], "e40472891f7834120cf502259cfecc92ed1b4a35"),
        (false, false, &[Md5], "e718f3645353e8cf742ff1293b141fcf"),
        (false, false, &[Sha1], "6149a9ef0d0c3787009baa935239293ba347d3e9"),
        (true, true, &[Md5, Md5], "f46087939c9ee24af92dd0749b9874ba"),
        (true, true, &[Sha1, Sha1], "9da761c92ef3d0d72baea3ef41896d3f3347a360"),
    ] {
        assert_eq!(digest_of(upper, separators, hashes), expected, "{upper} {separators} {hashes:?}");
    }
}

/// Values computed with other tools: sha256sum, md5sum and sha1sum over `printf %s`.
#[test]
fn forms_that_the_table_leaves_out() {
    use DigestLength::{Md5, Sha1, Sha256};
    for (hashes, expected) in [
        (&[Sha256][..], "444d2fc6e36b55f328ede802cee76f91ed4be20caab780be558440449fdfde1d"),
        (&[Sha1, Md5], "d3797436212c8223fb6682eb6b5df01b"),
        (&[Md5, Sha1], "c2f0090f533bd9fddc88e048265882a04de70388"),
    ] {
        assert_eq!(digest_of(true, true, hashes), expected, "{hashes:?}");
    }
}

#[test]
fn every_form_is_another_digest() {
    let count = |length| {
        let digests: std::collections::BTreeSet<Digest> =
            forms(WRITTEN, length).into_iter().map(|(_, digest)| digest).collect();
        digests.len()
    };
    let counts = [DigestLength::Md5, DigestLength::Sha1, DigestLength::Sha256].map(count);
    // With the 4 plain forms these are the 28 values of section 7, and the 4 of SHA-256.
    assert_eq!(counts, [12, 12, 4]);
}

#[test]
fn a_form_names_itself() {
    let form = |digest: &str| matching_form(WRITTEN, &Digest::parse(digest)?).map(|form| form.to_string());
    assert_eq!(form("358F3CC563911C41542FA3394787F529").as_deref(), Some("md5(upper)"));
    assert_eq!(form("e718f3645353e8cf742ff1293b141fcf").as_deref(), Some("md5(lower, no separators)"));
    assert_eq!(form("9da761c92ef3d0d72baea3ef41896d3f3347a360").as_deref(), Some("sha1(sha1(upper))"));
    assert_eq!(form("358f3cc563911c41542fa3394787f520"), None);
}

#[test]
fn a_digest_is_32_40_or_64_hexadecimal_digits() {
    for (length, kind) in [(32, DigestLength::Md5), (40, DigestLength::Sha1), (64, DigestLength::Sha256)] {
        let digest = Digest::parse(&format!(" {} ", "Ab".repeat(length / 2))).expect("a digest");
        assert_eq!((digest.as_str(), digest.length()), ("ab".repeat(length / 2).as_str(), kind));
    }
    for text in
        [String::new(), "a".repeat(31), "a".repeat(33), "g".repeat(32), "ä".repeat(16), "a".repeat(128)]
    {
        assert_eq!(Digest::parse(&text), None, "{text}");
    }
}

#[test]
fn absent_values() {
    for value in [
        "",
        " ",
        "0",
        "00000000-0000-0000-0000-000000000000",
        "00:00:00:00:00:00",
        "----",
        "{idfa}",
        "[IDFA]",
        "<idfa>",
        "{{device_id}}",
        "null",
        "NULL",
        "(null)",
        "nil",
        "None",
        "undefined",
        "unknown",
        "device_id",
        "__IDFA__",
        "${idfa}",
        "$(idfa)",
        "#{idfa}",
        "%IDFA%",
        "%%IDFA%%",
        "%7Bidfa%7D",
        "%7bidfa%7d",
        "%7B%7Bidfa%7D%7D",
        "%24%7Bidfa%7D",
        "$%7Bidfa%7D",
        "%257Bidfa%257D",
        "%5BIDFA%5D",
        "%3Cidfa%3E",
        "N/A",
        "n/a",
        "(not set)",
        "Not Available",
    ] {
        assert!(is_absent(value), "{value:?} means absent");
        assert_eq!(Identifier::new(IdKind::Adid, value), None, "{value:?}");
    }
}

#[test]
fn a_key_as_its_own_value_is_absent() {
    assert_eq!(Identifier::new(IdKind::Idfa, "IDFA"), None);
    assert_eq!(Identifier::new(IdKind::named("imei"), "imei"), None);
}

#[test]
fn present_values() {
    for value in [
        WRITTEN,
        "a1b2c3d4e5f60718",
        "00000000-0000-0000-0000-000000000001",
        "x",
        "nullable",
        "__",
        "_a_",
        "__a",
        "%",
        "50%",
        "%41%42",
        "a%7Bb%7D",
        "$1",
        "na",
        "(a)",
    ] {
        let id = Identifier::new(IdKind::Adid, &format!(" {value}\t")).expect("a usable identifier");
        assert_eq!(id.value, value, "kept as sent, trimmed");
    }
}

#[test]
fn canonical_values() {
    let canonical = |kind, value| Identifier::new(kind, value).map(|id| id.canonical());
    let bare = Some("7c9e6679742540de944be07fc1f90ae7".to_owned());
    assert_eq!(canonical(IdKind::Idfa, WRITTEN), bare);
    assert_eq!(canonical(IdKind::Idfa, "7c9e6679742540DE944be07fc1f90ae7"), bare);
    assert_eq!(canonical(IdKind::Mac, "AA:BB:CC:00:11:22"), Some("aabbcc001122".to_owned()));
    assert_eq!(canonical(IdKind::Custom("custom".to_owned()), "Ab-C"), Some("Ab-C".to_owned()));
    assert_eq!(canonical(IdKind::Generic, "Ab-C"), Some("Ab-C".to_owned()));
}

#[test]
fn fingerprints_tell_kind_and_value_apart() {
    let fingerprint = |kind, value: &str| Fingerprint::from(&Identifier::new(kind, value).expect("usable"));
    assert_eq!(fingerprint(IdKind::Idfa, WRITTEN), fingerprint(IdKind::Idfa, &WRITTEN.to_lowercase()));
    assert_ne!(fingerprint(IdKind::Idfa, WRITTEN), fingerprint(IdKind::Adid, WRITTEN));
    assert_ne!(fingerprint(IdKind::Idfa, "a1"), fingerprint(IdKind::Idfa, "a2"));
}

#[test]
fn kinds_by_their_keys() {
    for (key, kind, name) in [
        ("IDFA", IdKind::Idfa, "idfa"),
        ("ios_idfa", IdKind::Idfa, "idfa"),
        (" adid ", IdKind::Adid, "adid"),
        ("udid", IdKind::Rida, "rida"),
        ("device_id", IdKind::Generic, "device_id"),
        ("My_Id", IdKind::Custom("my_id".to_owned()), "my_id"),
    ] {
        assert_eq!((IdKind::named(key), kind.name()), (kind.clone(), name));
    }
}
