//! Aggregate postbacks: each transaction once in each window, and nothing of them in installs.

use measure::{
    input::{Input, Outcome, Payload},
    skad::{Advisory, AggregatePostback, ConversionType, Framework, Signed},
    time::DAY_MS,
};
use store::{Memory, Store};

use super::world::{APP, World, adid, click, install, origin, plain};
use crate::replay;

fn postback(transaction: &str, window: u8) -> AggregatePostback {
    AggregatePostback {
        framework: Framework::SkAdNetwork,
        version: Some("4.0".to_owned()),
        network: "com.example".to_owned(),
        source: "5239".to_owned(),
        app_store_id: "525463029".to_owned(),
        transaction: transaction.to_owned(),
        window,
        conversion: ConversionType::Download,
        source_app: None,
        source_domain: None,
        fidelity: Some(1),
        did_win: Some(true),
        impression: None,
        marketplace: None,
        signed: Signed::Production,
        advisory: Advisory::default(),
    }
}

impl World {
    fn aggregate(&mut self, seconds: i64, transaction: &str, window: u8) -> Input {
        self.input(seconds, Payload::Aggregate(postback(transaction, window)))
    }

    /// Whether each of the inputs was a duplicate.
    fn duplicates(&self, inputs: &[Input]) -> Vec<bool> {
        inputs
            .iter()
            .map(|input| match self.store.fact(input.id).unwrap().unwrap().0.outcomes[..] {
                [Outcome::Counted { duplicate }] => duplicate,
                ref other => panic!("{other:?}"),
            })
            .collect()
    }
}

#[test]
fn three_windows_of_a_transaction_count_and_a_repeat_does_not() {
    for together in [true, false] {
        let mut world = World::new();
        let forty_days = 40 * DAY_MS / 1_000;
        let inputs = [
            world.aggregate(1, "one", 0),
            world.aggregate(2, "one", 1),
            world.aggregate(3, "two", 0),
            world.aggregate(4, "one", 1),
            world.aggregate(5, "one", 2),
            // Long after idempotency keys are forgotten.
            world.aggregate(forty_days, "one", 0),
        ];
        if together {
            world.take_batch(&inputs)
        } else {
            world.take(&inputs)
        };
        assert_eq!(world.duplicates(&inputs), [false, false, false, true, false, true]);
        let cell = |window| {
            let counter = measure::ledger::Counter::Aggregates(postback("", window).cell());
            world.tally().get(&format!("{counter:?}")).copied()
        };
        assert_eq!([cell(0), cell(1), cell(2)], [Some(2), Some(1), Some(1)]);
        assert_eq!(world.tally()["AggregatesRepeated"], 2);
        assert_eq!(world.tally()["Accepted(\"aggregate\")"], 6);
        let listed = world.store.aggregates(APP, None, 10).unwrap();
        let listed: Vec<_> = listed.iter().rev().map(|fact| fact.input.id).collect();
        assert_eq!(listed, inputs.map(|input| input.id));
    }
}

#[test]
fn installs_know_nothing_of_them() {
    let run = |aggregates: bool| {
        let mut world = World::new();
        let click = world.input(0, click(1, 0, plain(adid(1)), 1));
        let install = world.input(60, install(60, origin(Some("d"), vec![adid(1)], 9)));
        let aggregate = world.aggregate(61, "one", 0);
        world.take(&[click, install.clone()]);
        if aggregates {
            world.take(&[aggregate]);
        }
        let of_installs =
            |(counter, n): (String, i64)| counter.starts_with("Installs").then_some((counter, n));
        let tally: Vec<_> = world.tally().into_iter().filter_map(of_installs).collect();
        (world.decisions(&install), world.device("d"), tally)
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn a_replay_counts_the_same() {
    let mut world = World::new();
    let inputs = [world.aggregate(1, "one", 0), world.aggregate(2, "one", 0), world.aggregate(3, "one", 1)];
    world.take(&inputs);
    let again: std::sync::Arc<dyn Store> = std::sync::Arc::new(Memory::default());
    replay(world.store.as_ref(), &again).unwrap();
    assert_eq!(again.tally().unwrap(), world.store.tally().unwrap());
    assert_eq!(again.aggregates(APP, None, 9).unwrap(), world.store.aggregates(APP, None, 9).unwrap());
}
