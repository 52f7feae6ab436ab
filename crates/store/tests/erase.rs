//! What was erased is in no file of the data directory any more, once older versions are given up.

use std::{fs, path::Path};

use measure::{
    identifier::JoinKey,
    privacy::{JobState, Search, Subject, erase_device},
};
use store::{
    Batch, Fjall, Options, Scrub, Store as _,
    conformance::{job, sample},
};

#[cfg(test)]
fn occurs(directory: &Path, needle: &str) -> bool {
    fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            occurs(&path, needle)
        } else {
            // What is no text is replaced, which leaves a needle as it is and lets the standard library search.
            String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(needle)
        }
    })
}

#[test]
fn erased_identifiers_are_in_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = Fjall::open(folder.path(), Options::default()).unwrap();
    let identifier = sample::identifier(7);
    let needle = identifier.value.clone();
    let mut fact = sample::fact(1);
    fact.input.body = format!("{{\"adid\":\"{needle}\"}}");
    let mut device = sample::device(sample::APP, 7);
    device.identifiers = vec![identifier.clone()];
    let key = JoinKey::from(&identifier);
    let delivery = measure::postback::Delivery {
        request: measure::postback::Request {
            url: format!("https://a.example.com/?d={needle}"),
            ..Default::default()
        },
        ..sample::delivery(1, sample::day(1))
    };
    store
        .commit(&Batch {
            facts: vec![fact.clone()],
            device_keys: vec![(device.app, key.clone(), device.id, true)],
            devices: vec![device.clone()],
            deliveries: vec![delivery.clone()],
            ..Batch::default()
        })
        .unwrap();
    let mut asked = job(1, JobState::Running);
    asked.subject.identifiers = vec![identifier.clone()];
    store.scrub(&Scrub { job: Some(asked.clone()), ..Scrub::default() }).unwrap();
    assert!(occurs(folder.path(), &needle), "the files are readable as they are");

    let subject = Subject { identifiers: vec![identifier], ..Subject::default() };
    Search::new(None, &subject).erase(&mut fact);
    erase_device(&mut device);
    asked.subject = Subject::default();
    store
        .scrub(&Scrub {
            facts: vec![fact],
            device_keys: vec![(device.app, key, device.id)],
            devices: vec![device],
            deliveries: vec![delivery.id],
            job: Some(asked),
            ..Scrub::default()
        })
        .unwrap();
    store.compact().unwrap();
    drop(store);
    assert!(!occurs(folder.path(), &needle));
    let store = Fjall::open(folder.path(), Options::default()).unwrap();
    assert_eq!(store.last_sequence().unwrap(), 1);
}
