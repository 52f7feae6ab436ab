//! Dropping what is too old while compactions rewrite it anyway.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use fjall::compaction::filter::{
    CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict,
};
use measure::Timestamp;

use crate::{
    Seen, expiry, key,
    record::{Held, Record as _},
};

type Assigner = Arc<dyn Fn(&str) -> Option<Arc<dyn Factory>> + Send + Sync>;

/// Whether a record (its key, its value) is too old, as seen from a horizon. What cannot be read is kept:
/// reading it says what is wrong.
type TooOld = fn(&[u8], &[u8], Timestamp) -> bool;

/// The filters of the keyspaces in which things grow old.
pub(super) fn filters(horizon: &Arc<AtomicI64>) -> Assigner {
    let horizon = Arc::clone(horizon);
    Arc::new(move |keyspace| {
        let too_old: TooOld = match keyspace {
            "touches" => {
                |key, _, now| key::to_time(key).is_some_and(|time| time < expiry::oldest_touch(now, now))
            }
            "arrivals" => {
                |key, _, now| key::to_time(key).is_some_and(|time| time < expiry::oldest_arrival(now))
            }
            "held" => |_, value, now| {
                Held::decode(value).is_ok_and(|(received, _)| received < expiry::oldest_held(now))
            },
            "seen" => {
                |_, value, now| Seen::decode(value).is_ok_and(|seen| seen.received < expiry::oldest_seen(now))
            }
            _ => return None,
        };
        // A key that is written once can go without a trace. An idempotency key or a waiting input may be
        // written again, and not always with a later time: clocks go back. Its older value may lie on a
        // deeper level, so the newer one leaves a tombstone that keeps it from coming to light again.
        let gone = if matches!(keyspace, "touches" | "arrivals") { Gone::Traceless } else { Gone::Tombstone };
        Some(Arc::new(Expiry { too_old, gone, horizon: Arc::clone(&horizon) }))
    })
}

/// How a record goes.
#[derive(Clone, Copy)]
enum Gone {
    Traceless,
    Tombstone,
}

/// Makes a filter per compaction.
struct Expiry {
    too_old: TooOld,
    gone: Gone,
    horizon: Arc<AtomicI64>,
}

impl Factory for Expiry {
    fn name(&self) -> &str {
        "expiry"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        // The horizon moves forward, so what was too old when the compaction began still is; but for a
        // clock that had been ahead, which the record does not come through unharmed anyway.
        let horizon = Timestamp(self.horizon.load(Ordering::Relaxed));
        Box::new(Sieve { too_old: self.too_old, gone: self.gone, horizon })
    }
}

/// The filter of one compaction.
struct Sieve {
    too_old: TooOld,
    gone: Gone,
    horizon: Timestamp,
}

impl CompactionFilter for Sieve {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        let value = item.value()?;
        if !(self.too_old)(item.key(), &value, self.horizon) {
            return Ok(Verdict::Keep);
        }
        Ok(match self.gone {
            Gone::Traceless => Verdict::Destroy,
            Gone::Tombstone => Verdict::Remove,
        })
    }
}
