use measure::Timestamp;
use proptest::prelude::*;

use super::NOW;
use crate::steady::Steady;

#[test]
fn a_clock_that_is_put_back_does_not_stop_time() {
    let mut steady = Steady::new(NOW);
    assert_eq!(steady.look(NOW.plus(500), 500), NOW.plus(500));
    // An hour back while a second passes.
    assert_eq!(steady.look(NOW.plus(500 + 1_000 - 3_600_000), 1_000), NOW.plus(1_500));
    assert_eq!(steady.look(NOW.plus(500 + 3_000 - 3_600_000), 2_000), NOW.plus(3_500));
    // Put right again: back in step.
    assert_eq!(steady.look(NOW.plus(4_500), 1_000), NOW.plus(4_500));
    // Ahead: what is due by it is due.
    assert_eq!(steady.look(NOW.plus(86_400_000), 1_000), NOW.plus(86_400_000));
    assert_eq!(steady.look(NOW.plus(5_500), 0), NOW.plus(86_400_000));
}

#[test]
fn small_steps_are_taken() {
    let mut steady = Steady::new(NOW);
    assert_eq!(steady.look(NOW.plus(-3_000), 10), NOW.plus(-3_000));
    assert_eq!(steady.look(NOW, 10), NOW);
}

proptest! {
    /// However the clock jumps, the time never goes back by more than a small step.
    #[test]
    fn time_goes_on(looks in prop::collection::vec((any::<i32>(), 0_i64..60_000), 0..50)) {
        let mut steady = Steady::new(NOW);
        let mut last = NOW;
        for (wall, passed) in looks {
            let now = steady.look(Timestamp(NOW.millis() + i64::from(wall)), passed);
            prop_assert!(now.since(last) >= -10_000, "{} ms back", last.since(now));
            last = now;
        }
    }
}
