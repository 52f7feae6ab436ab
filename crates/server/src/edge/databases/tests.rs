//! Against databases that are written by the specification of the format.

#[path = "../../../../../tests/harness/mmdb.rs"]
mod mmdb;

use std::{io::Write as _, path::PathBuf};

use measure::place::Place;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::*;

fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn path(file: &NamedTempFile) -> Option<PathBuf> {
    Some(file.path().to_owned())
}

fn countries() -> NamedTempFile {
    file(&mmdb::database(
        "Test-Country",
        &[
            ("203.0.113.0/25", json!({ "country": { "iso_code": "DE", "geoname_id": 7 } })),
            ("203.0.113.128/25", json!({ "country": "fr", "asn": "AS64500" })),
            ("198.51.100.0/24", json!({ "country_code": "NZ" })),
            ("192.0.2.0/24", json!({ "registered_country": { "iso_code": "US" } })),
            ("2001:db8:1::/48", json!({ "country": { "iso_code": "JP" } })),
        ],
    ))
}

fn place(databases: &Databases, ip: &str) -> (Option<String>, Option<bool>) {
    let Place { country, anonymous, .. } = databases.place_of(ip.parse().ok());
    (country.map(|country| country.to_string()), anonymous)
}

#[test]
fn an_address_is_in_a_country() {
    let file = countries();
    let geo = Geo { country_database: path(&file), ..Geo::default() };
    let databases = Databases::open(&geo).unwrap();
    assert!(databases.has_countries() && !databases.has_anonymous());
    for (ip, expected) in [
        ("203.0.113.1", Some("DE")),
        ("::ffff:203.0.113.1", Some("DE")),
        ("203.0.113.200", Some("FR")),
        ("198.51.100.9", Some("NZ")),
        ("192.0.2.1", None),
        ("10.0.0.1", None),
        ("2001:db8:1:2::3", Some("JP")),
        ("2001:db8:2::1", None),
        ("", None),
    ] {
        assert_eq!(place(&databases, ip), (expected.map(str::to_owned), None), "{ip}");
        assert!(databases.place_of(ip.parse().ok()).has_countries, "it was asked");
    }
}

/// A city as MaxMind writes it, and as a database with plain texts does.
#[test]
fn an_address_is_in_a_city_where_a_database_tells_cities() {
    let file = file(&mmdb::database(
        "Test-City",
        &[
            (
                "203.0.113.0/24",
                json!({
                    "city": { "geoname_id": 1, "names": { "de": "Auckland (de)", "en": "Oakland" } },
                    "country": { "iso_code": "US" }, "location": { "metro_code": 807 },
                    "postal": { "code": "94601" },
                    "subdivisions": [{ "iso_code": "CA", "names": { "en": "California" } }],
                }),
            ),
            (
                "198.51.100.0/24",
                json!({ "country_code": "DE", "city": "Berlin", "region": "Berlin", "region_code": "BE",
                        "postal_code": "10115" }),
            ),
            ("192.0.2.0/24", json!({ "country": { "iso_code": "FR" } })),
        ],
    ));
    let databases = Databases::open(&Geo { country_database: path(&file), ..Geo::default() }).unwrap();
    let words = |ip: &str| {
        let Locality { city, regions, postal, dma } = databases.locality_of(ip.parse().ok()).unwrap();
        let text = |one: Option<String>| one.unwrap_or_else(|| "-".to_owned());
        format!("{} {} {} {}", text(city), regions.join("/"), text(postal), text(dma))
    };
    assert_eq!(words("203.0.113.9"), "Oakland CA/California 94601 807");
    assert_eq!(words("198.51.100.9"), "Berlin BE/Berlin 10115 -");
    for unknown in ["192.0.2.9", "10.0.0.1", ""] {
        assert_eq!(words(unknown), "-  - -");
    }
    assert_eq!(place(&databases, "203.0.113.9").0.as_deref(), Some("US"));
    let countries = countries();
    let databases = Databases::open(&Geo { country_database: path(&countries), ..Geo::default() }).unwrap();
    assert_eq!(databases.locality_of("203.0.113.1".parse().ok()), None);
}

#[test]
fn an_address_may_hide_who_is_behind_it() {
    let file = file(&mmdb::database(
        "Test-Anonymous-IP",
        &[
            ("203.0.113.0/26", json!({ "is_anonymous": true, "is_tor_exit_node": true })),
            ("203.0.113.64/26", json!({ "is_hosting_provider": true })),
            ("203.0.113.128/26", json!({ "vpn": "true", "proxy": "" })),
            ("203.0.113.192/26", json!({ "is_anonymous": false, "vpn": "false" })),
        ],
    ));
    let geo = Geo { anonymous_database: path(&file), ..Geo::default() };
    let databases = Databases::open(&geo).unwrap();
    for (ip, expected) in [
        ("203.0.113.1", Some(true)),
        ("203.0.113.65", Some(true)),
        ("203.0.113.129", Some(true)),
        ("203.0.113.193", Some(false)),
        ("198.51.100.1", Some(false)),
        ("", None),
    ] {
        assert_eq!(place(&databases, ip), (None, expected), "{ip}");
    }
}

#[test]
fn numbers_of_autonomous_systems_need_a_list() {
    let file = file(&mmdb::database(
        "Test-ASN",
        &[
            ("203.0.113.0/24", json!({ "autonomous_system_number": 64_500 })),
            ("198.51.100.0/24", json!({ "asn": "AS64501", "name": "Example" })),
            ("192.0.2.0/24", json!({ "autonomous_system_number": 64_502 })),
        ],
    ));
    let geo = |asns: &[u32]| Geo {
        anonymous_database: path(&file),
        anonymous_asns: asns.iter().copied().map(Asn).collect(),
        ..Geo::default()
    };
    let databases = Databases::open(&geo(&[64_500, 64_501])).unwrap();
    for (ip, expected) in
        [("203.0.113.1", true), ("198.51.100.1", true), ("192.0.2.1", false), ("10.0.0.1", false)]
    {
        assert_eq!(place(&databases, ip), (None, Some(expected)), "{ip}");
    }
    let text = Databases::open(&geo(&[])).err().unwrap().to_string();
    assert!(text.contains("geo.anonymous_database") && text.contains("geo.anonymous_asns"), "{text}");
}

#[test]
fn without_databases_nothing_is_known() {
    assert_eq!(Databases::default().place_of("203.0.113.1".parse().ok()), Place::default());
}

#[test]
fn what_cannot_be_used_is_refused_by_name() {
    let check = |geo: Geo, words: &[&str]| {
        let text = Databases::open(&geo).err().unwrap().to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    let nothing = Some(PathBuf::from("/no/such/file.mmdb"));
    check(
        Geo { country_database: nothing, ..Geo::default() },
        &["geo.country_database", "/no/such/file.mmdb", "cannot be read"],
    );
    let text = file(b"not a database");
    check(
        Geo { anonymous_database: path(&text), ..Geo::default() },
        &["geo.anonymous_database", "MaxMind format"],
    );
    let colours: [(&str, Value); 1] = [("203.0.113.0/24", json!({ "colour": "red" }))];
    let colours = file(&mmdb::database("Test-Colours", &colours));
    check(Geo { country_database: path(&colours), ..Geo::default() }, &["tells no countries"]);
    check(Geo { anonymous_database: path(&colours), ..Geo::default() }, &["neither"]);
    // A file that was cut off says so or knows less, and never ends the program.
    let whole = fs::read(countries().path()).unwrap();
    for length in (0..whole.len()).step_by(7) {
        let cut = file(&whole[..length]);
        let _refused_or_not = Databases::open(&Geo { country_database: path(&cut), ..Geo::default() });
    }
}
