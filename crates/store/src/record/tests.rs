use std::{fmt::Debug, fs, path::PathBuf};

use measure::{ledger::Counter, postback::DeliveryState, privacy::JobState};

use super::*;
use crate::conformance::sample::{self, APP, day};

/// Where a golden file lies. To make the files of a new version, run the tests with `STORE_BLESS=1`; files
/// that are there are never written again.
fn golden(name: &str, version: u8) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.{version}.bin"))
}

/// The sample is written as it was when the version was new, and every version reads as the sample.
fn check<R: Record + PartialEq + Debug>(sample: &R) {
    let bytes = sample.encode().unwrap();
    assert_eq!(R::decode(&bytes).unwrap(), *sample);
    let newest = golden(R::NAME, VERSION);
    if std::env::var_os("STORE_BLESS").is_some() && !newest.exists() {
        fs::write(&newest, &bytes).unwrap();
    }
    for version in 1..=VERSION {
        let stored = fs::read(golden(R::NAME, version)).unwrap();
        assert_eq!(R::decode(&stored).unwrap(), *sample, "version {version} of {}", R::NAME);
    }
    assert_eq!(fs::read(newest).unwrap(), bytes, "{} is written in another way: see record.rs", R::NAME);
}

/// What cannot be read is said to be so, with the name of the record.
fn check_refused<R: Record + Debug>(bytes: &[u8], words: &str) {
    let message = R::decode(bytes).unwrap_err().to_string();
    assert!(message.contains(R::NAME) && message.contains(words), "{message}");
}

fn final_delivery() -> Delivery {
    let mut delivery = sample::delivery(5, day(1));
    delivery.attempts = vec![sample::attempt(1, 500), sample::attempt(2, 400)];
    delivery.state = DeliveryState::Dead;
    delivery.reason = Some("http 400".to_owned());
    delivery
}

#[test]
fn every_version_of_every_record_is_readable() {
    let seen = Seen { input: sample::input(7), received: day(1), body_hash: [200; 16] };
    let index = DigestIndex { after: Some(sample::device_id(1)), complete: true };
    check(&sample::fact(70_000));
    check::<Sequence>(&70_000);
    check(&sample::device(APP, 7));
    check(&sample::device_id(7));
    check(&sample::touch(7, day(1)));
    check::<Arrival>(&(day(1), sample::install_id(7)));
    check::<Held>(&(day(1), sample::input(7)));
    check(&seen);
    check(&sample::install(APP, 7));
    check(&sample::decision(APP, 7, 2));
    check(&Credit { install: sample::install_id(7), installed: day(1), waiting: false });
    check(&final_delivery());
    check(&sample::change(3));
    check(&sample::quarantined(None, 7, day(1)));
    check::<Shelved>(&(Some(APP), sample::input(7), Entry { received: day(1), bytes: 20 }));
    check::<NamedEvent>(&("Purchase".to_owned(), EventName { first_seen: day(1), is_revenue: true }));
    check(&SentLength { app: APP, length: DigestLength::Sha256, since: day(1) });
    check::<IndexedLength>(&(APP, DigestLength::Md5, index));
    check::<Counted>(&(None, Counter::Suppressed("superseded".to_owned()), -3));
    check(&day(1));
    check::<Figured>(&(APP, sample::figures(7)));
    check::<Used>(&(KeyId(3), day(1)));
    check(&crate::conformance::job(7, JobState::Running));
    check(&sample::cost_day(APP, 7, 3));
    check(&Tombstone { app: Some(APP), hash: [9; 16] });
}

#[test]
fn there_is_no_golden_file_without_a_record() {
    let folder = golden("fact", 1);
    let files = fs::read_dir(folder.parent().unwrap()).unwrap().count();
    assert_eq!(files, 25 * usize::from(VERSION), "one file per record and version");
}

#[test]
fn unknown_versions_are_refused() {
    let mut bytes = sample::fact(1).encode().unwrap();
    bytes[0] = 9;
    check_refused::<Fact>(&bytes, "version 9 is not known");
    check_refused::<Delivery>(&[], "it is empty");
    check_refused::<Delivery>(&[VERSION, 0xc0], "");
}

#[test]
fn cut_records_are_refused() {
    let bytes = sample::device(APP, 1).encode().unwrap();
    for length in 0..bytes.len() {
        check_refused::<Device>(&bytes[..length], "");
    }
}

#[test]
fn appended_fields_may_be_absent() {
    #[derive(serde::Serialize)]
    struct Before(u64, u64);
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct After {
        first: u64,
        second: u64,
        #[serde(default)]
        third: Option<String>,
    }
    let bytes = rmp_serde::to_vec(&Before(1, 2)).unwrap();
    let after: After = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(after, After { first: 1, second: 2, third: None });
}

#[test]
fn a_length_of_digests_from_before_its_time_was_kept_is_one_of_always() {
    let mut bytes = vec![VERSION];
    rmp_serde::encode::write(&mut bytes, &(APP, DigestLength::Sha256)).unwrap();
    let always = SentLength { app: APP, length: DigestLength::Sha256, since: Timestamp::default() };
    assert_eq!(SentLength::decode(&bytes).unwrap(), always);
}
