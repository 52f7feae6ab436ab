//! Privacy requests: what is erased, who is refused, and what goes on as if nothing had happened.

use std::sync::Arc;

use measure::{
    DeviceId, InstallId,
    catalogue::Catalogue,
    device::Device,
    flag::Flag,
    identifier::{Digest, DigestLength, JoinKey, forms},
    input::Input,
    privacy::{Search, Subject},
};
use store::{Memory, Store};

use super::world::{APP, World, adid, click, event, hashed, install, link, origin, plain, update};
use crate::{Alteration, Answer, Engine, Erasure, Machine, Options, Plan, replay, what_if};

const SALT: [u8; 32] = [5; 32];

fn digest(n: u32, length: DigestLength) -> Digest {
    forms(&adid(n).value, length)[1].1.clone()
}

fn found(world: &World, kochava: &str) -> Subject {
    let mut subject = Subject::default();
    let device: Device = world.device(kochava).expect("the device is known");
    subject.add_device(&device);
    let (record, decisions) = world.store.install(APP, device.install).unwrap().unwrap();
    subject.add_install(&record);
    subject.add_decision(decisions.last().unwrap());
    subject
}

/// Erases a subject as the server does.
fn erase(world: &mut World, subject: &Subject) {
    let search = Arc::new(Search::new(Some(APP), subject));
    let refuse = Some(Some(APP));
    world.machine.erase(&Erasure { search: search.clone(), refuse, ..Erasure::default() }).unwrap();
    let devices = subject.devices.clone();
    world.machine.erase(&Erasure { search: search.clone(), devices, ..Erasure::default() }).unwrap();
    let facts = world.store.facts(1, 1_000).unwrap();
    let facts = facts.iter().filter(|fact| search.finds(fact)).map(|fact| fact.sequence).collect();
    world.machine.erase(&Erasure { search, facts, ..Erasure::default() }).unwrap();
}

fn world() -> World {
    let mut world = World::new();
    world.machine = Machine::open(world.store.clone(), world.catalogue.clone()).unwrap().with_salt(SALT);
    world
}

/// Two devices with a click, an install, an event and a link each, and a hashed click of the first.
fn busy() -> (World, Vec<Input>) {
    let mut world = world();
    let payloads = [
        click(1, 0, plain(adid(1)), 1),
        click(2, 1, hashed(digest(1, DigestLength::Md5)), 3),
        click(1, 2, plain(adid(2)), 2),
        install(10, origin(Some("device-1"), vec![adid(1)], 1)),
        install(11, origin(Some("device-2"), vec![adid(2)], 2)),
        event(20, "Purchase", origin(Some("device-1"), vec![], 1)),
        event(21, "Purchase", origin(Some("device-2"), vec![], 2)),
        link(Some("device-1"), vec![], "sam-4711"),
        link(Some("device-2"), vec![], "kim-4711"),
        update("device-1", vec![]),
        // Waits for an install of its own that will not come.
        event(22, "Purchase", origin(None, vec![adid(1)], 1)),
    ];
    let inputs: Vec<Input> =
        payloads.into_iter().zip(0..).map(|(payload, s)| world.input(s * 10, payload)).collect();
    world.take(&inputs);
    (world, inputs)
}

#[test]
fn the_erased_is_gone_and_everything_that_counts_stays() {
    let (mut world, inputs) = busy();
    let before = world.tally();
    let others: Vec<_> = [2, 4, 6, 8].iter().map(|n| world.store.fact(inputs[*n].id).unwrap()).collect();
    let subject = found(&world, "device-1");
    erase(&mut world, &subject);
    assert_eq!(world.tally(), before);
    assert_eq!(world.store.last_sequence().unwrap(), inputs.len() as u64);
    let text = format!("{:?}", world.store.facts(1, 1_000).unwrap()).to_lowercase();
    for told in [adid(1).value.as_str(), digest(1, DigestLength::Md5).as_str(), "device-1", "sam-4711"] {
        assert!(!text.contains(told), "{told} in {text}");
    }
    assert!(text.contains("device-2") && text.contains("kim-4711"));
    for (place, input) in inputs.iter().enumerate() {
        let (fact, _) = world.store.fact(input.id).unwrap().unwrap();
        let is_other = [2, 4, 6, 8].contains(&place);
        assert_eq!(fact.input.flags.contains(&Flag::Erased), !is_other, "{place}: {fact:?}");
    }
    let now: Vec<_> = [2, 4, 6, 8].iter().map(|n| world.store.fact(inputs[*n].id).unwrap()).collect();
    assert_eq!(now, others);
    // Nothing leads to the device any more, and what is left of it says nothing.
    assert_eq!(world.device("device-1"), None);
    for key in measure::privacy::keys_of(&adid(1)) {
        assert_eq!(world.store.device(APP, &key).unwrap(), None);
    }
    let devices = world.store.devices(APP, None, 10).unwrap();
    let left = devices.iter().find(|device| device.id == DeviceId::from(inputs[3].id)).unwrap();
    assert!(left.join_keys().is_empty() && left.links.is_empty(), "{left:?}");
    assert_eq!(
        left.source.as_ref().map(|source| source.network.0),
        Some(2),
        "what the install is credited to stays"
    );
    let decisions = world.decisions(&inputs[3]);
    assert_eq!(decisions[0].class(), "device_id");
}

#[test]
fn late_data_of_the_erased_is_refused_and_nobody_elses() {
    let (mut world, _) = busy();
    let subject = found(&world, "device-1");
    erase(&mut world, &subject);
    let facts = world.store.last_sequence().unwrap();
    let (sha, md5) = (digest(1, DigestLength::Sha256), digest(1, DigestLength::Md5));
    let refused = [
        event(200, "Purchase", origin(Some("device-1"), vec![], 1)),
        event(200, "Purchase", origin(None, vec![adid(1)], 1)),
        install(200, origin(Some("a new one"), vec![adid(1)], 1)),
        click(1, 200, plain(adid(1)), 1),
        click(1, 200, hashed(md5), 1),
        click(1, 200, hashed(sha.clone()), 1),
        update("device-1", vec![]),
        link(Some("device-1"), vec![], "sam"),
        link(None, vec![sha], "sam"),
    ];
    for payload in refused {
        let input = world.input(200, payload);
        assert_eq!(world.take(std::slice::from_ref(&input)), [Answer::Erased], "{input:?}");
    }
    assert_eq!(world.store.last_sequence().unwrap(), facts);
    let taken = [
        event(300, "Purchase", origin(Some("device-2"), vec![], 1)),
        click(1, 300, plain(adid(3)), 1),
        click(1, 300, vec![], 1),
        install(300, origin(Some("device-3"), vec![adid(3)], 1)),
    ];
    for payload in taken {
        let input = world.input(300, payload);
        assert_eq!(world.take(std::slice::from_ref(&input)), [Answer::Accepted(input.id)]);
    }
    // Who starts again with the same key file still knows; who has another one does not.
    let late = world.input(400, event(400, "Purchase", origin(Some("device-1"), vec![], 1)));
    for (salt, answer) in [(SALT, Answer::Erased), ([6; 32], Answer::Accepted(late.id))] {
        let mut machine =
            Machine::open(world.store.clone(), world.catalogue.clone()).unwrap().with_salt(salt);
        let done = machine.process(vec![vec![world.submission(late.clone())]]);
        assert_eq!(done.answers, [[answer]]);
    }
}

#[test]
fn an_erased_install_is_never_decided_again() {
    let (mut world, inputs) = busy();
    let subject = found(&world, "device-1");
    erase(&mut world, &subject);
    let before = world.decisions(&inputs[3]);
    // An earlier click from the same address, by its own time, within the grace.
    let late = world.input(115, click(3, 9, vec![], 1));
    assert_eq!(world.take(std::slice::from_ref(&late)), [Answer::Accepted(late.id)]);
    assert_eq!(world.decisions(&inputs[3]), before);
    // A first digest of its length looks at every recent install.
    let late = world.input(116, click(3, 9, hashed(digest(9, DigestLength::Sha1)), 7));
    world.take(&[late]);
    assert_eq!(world.decisions(&inputs[3]), before);
}

#[test]
fn what_was_not_erased_still_replays() {
    let (mut world, inputs) = busy();
    let subject = found(&world, "device-1");
    erase(&mut world, &subject);
    let again: Arc<dyn Store> = Arc::new(Memory::default());
    replay(world.store.as_ref(), &again).unwrap();
    let install: InstallId = inputs[4].id.into();
    assert_eq!(again.install(APP, install).unwrap(), world.store.install(APP, install).unwrap());
    assert_eq!(again.install(APP, inputs[3].id.into()).unwrap(), None);
    assert_eq!(again.device(APP, &JoinKey::kochava("device-2")).unwrap(), world.device("device-2"));
    assert_eq!(again.last_sequence().unwrap(), 4);
}

#[test]
fn a_what_if_leaves_what_was_erased_as_it_is() {
    let (mut world, _) = busy();
    let subject = found(&world, "device-1");
    erase(&mut world, &subject);
    let record: Arc<dyn Store> = world.store.clone();
    let plan = Plan { app: APP, from: None, until: None, alteration: Alteration::default(), readers: 1 };
    let report = what_if(&record, &plan, &|_| true).unwrap();
    assert_eq!((report.installs, report.altered), (2, 0), "{report:?}");
    assert_eq!(report.before, report.after);
}

#[test]
fn erasing_twice_is_erasing_once() {
    let (mut world, _) = busy();
    let subject = found(&world, "device-1");
    erase(&mut world, &subject);
    let facts = world.store.facts(1, 1_000).unwrap();
    erase(&mut world, &subject);
    assert_eq!(world.store.facts(1, 1_000).unwrap(), facts);
}

#[tokio::test]
async fn steps_are_done_between_batches() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let mut world = World::new();
    let options = Options { salt: SALT, ..Options::default() };
    let (engine, thread) =
        Engine::start(store.clone(), Arc::new(Catalogue::default()), options, || {}).unwrap();
    let subject = Subject { identifiers: vec![adid(1)], ..Subject::default() };
    let search = Arc::new(Search::new(None, &subject));
    let first = world.input(1, event(1, "A", origin(None, vec![adid(1)], 1)));
    let second = world.input(2, event(2, "A", origin(None, vec![adid(1)], 1)));
    let (before, erased, after) = tokio::join!(
        engine.submit(vec![world.submission(first.clone())]),
        engine.erase(Erasure { search, refuse: Some(None), facts: vec![1], ..Erasure::default() }),
        engine.submit(vec![world.submission(second)]),
    );
    assert_eq!((before, after), (vec![Answer::Accepted(first.id)], vec![Answer::Erased]));
    erased.unwrap();
    let facts = store.facts(1, 10).unwrap();
    assert_eq!(facts.len(), 1);
    assert!(facts[0].input.flags.contains(&Flag::Erased));
    drop(engine);
    thread.join().unwrap();
}
