//! Older versions of records are given up, so that what was erased is nowhere.

use super::{DURABLE, Fjall, space::Space};
use crate::{StoreError, key};

/// What is written to have the journal changed: more than the 64 MB from which fjall begins a new one, in
/// pieces of [`PADDING_PIECE`].
const PADDING_PIECES: usize = 65;
/// Bytes of a piece.
const PADDING_PIECE: usize = 1024 * 1024;

/// How often, and how long each time, a compaction that is under way is waited for: a minute.
const COMPACTION_WAITS: u32 = 3_000;
/// See [`COMPACTION_WAITS`].
const COMPACTION_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// What privacy requests change, and so what is compacted for them.
const SCRUBBED: [Space; 14] = [
    Space::Meta,
    Space::Facts,
    Space::Devices,
    Space::DeviceKeys,
    Space::Touches,
    Space::Arrivals,
    Space::Held,
    Space::Seen,
    Space::Installs,
    Space::Decisions,
    Space::Deliveries,
    Space::Quarantine,
    Space::Figures,
    Space::Jobs,
];

impl Fjall {
    /// Older versions are in journals and in tables. A journal goes when everything in it is in tables, but
    /// the one in use only grows: so it is padded until fjall begins another one. Then every memtable is
    /// written out, and the tables are merged, which leaves the newest version of each key.
    pub(super) fn give_up_older_versions(&self) -> Result<(), StoreError> {
        let meta = self.spaces.at(Space::Meta);
        let piece = vec![0_u8; PADDING_PIECE];
        for _ in 0..PADDING_PIECES {
            meta.insert(key::PADDING, piece.as_slice())?;
        }
        meta.rotate_memtable_and_wait()?;
        meta.remove(key::PADDING)?;
        for space in self.spaces.all() {
            space.rotate_memtable_and_wait()?;
        }
        // Once more, with all of it in tables: this is when fjall looks which journals may go.
        meta.remove(key::PADDING)?;
        meta.rotate_memtable_and_wait()?;
        for space in SCRUBBED {
            // While fjall compacts by itself, a major compaction leaves out what that one holds.
            for _ in 0..2 {
                self.wait_for_compactions();
                self.spaces.at(space).major_compact()?;
            }
        }
        Ok(self.database.persist(DURABLE)?)
    }

    /// Waits, for a while, until no compaction runs.
    fn wait_for_compactions(&self) {
        for _ in 0..COMPACTION_WAITS {
            if self.database.active_compactions() == 0 {
                return;
            }
            std::thread::sleep(COMPACTION_PAUSE);
        }
    }
}
