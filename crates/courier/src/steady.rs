//! A clock that does not go back. When the clock of the machine is put back, what is due would wait until it
//! has caught up; so the courier goes on at the pace of time, ahead of it. Pure.

use measure::{Timestamp, time::SECOND_MS};

/// Smaller steps are taken as they are: they cost or save that much waiting, milliseconds.
const JUMP_MS: i64 = 10 * SECOND_MS;

/// The courier's time.
#[derive(Clone, Copy, Debug)]
pub struct Steady {
    wall: Timestamp,
    ahead_ms: i64,
}

impl Steady {
    /// In step with the clock.
    pub const fn new(wall: Timestamp) -> Self {
        Self { wall, ahead_ms: 0 }
    }

    /// The time, when the clock shows `wall` and `passed_ms` have passed since the last look.
    pub fn look(&mut self, wall: Timestamp, passed_ms: i64) -> Timestamp {
        let jump = wall.since(self.wall).saturating_sub(passed_ms);
        if jump < -JUMP_MS {
            self.ahead_ms = self.ahead_ms.saturating_sub(jump);
        } else if jump > JUMP_MS {
            self.ahead_ms = self.ahead_ms.saturating_sub(jump).max(0);
        }
        self.wall = wall;
        wall.plus(self.ahead_ms)
    }
}
