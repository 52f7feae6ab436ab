//! Older versions of records are given up, so that what was erased is nowhere.

use std::{path::PathBuf, time::Duration};

use super::{DURABLE, Fjall, space::Space};
use crate::{StoreError, key};

/// What is written to have the journal changed: more than the 64 MB from which fjall begins a new one, in
/// pieces of [`PADDING_PIECE`].
const PADDING_PIECES: usize = 65;
/// Bytes of a piece.
const PADDING_PIECE: usize = 1024 * 1024;

/// How long it is waited before it is looked again.
const PAUSE: Duration = Duration::from_millis(20);
/// How often it is looked whether a compaction that is under way is over: for a minute.
const COMPACTION_LOOKS: u32 = 3_000;
/// How often all is written out to have the journals deleted.
const JOURNAL_TRIES: u32 = 15;
/// How often it is looked each time whether they are: for a second.
const JOURNAL_LOOKS: u32 = 50;

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
    /// Older versions are in journals and in tables: the journals are given up, and the tables are merged,
    /// which leaves the newest version of each key.
    pub(super) fn give_up_older_versions(&self) -> Result<(), StoreError> {
        self.give_up_journals()?;
        for space in SCRUBBED {
            // While fjall compacts by itself, a major compaction leaves out what that one holds.
            for _ in 0..2 {
                self.wait_for_compactions();
                self.spaces.at(space).major_compact()?;
            }
        }
        Ok(self.database.persist(DURABLE)?)
    }

    /// Has fjall delete the journals that are there. It deletes one once all that it holds is in tables, but
    /// the one in use only grows: so it is padded until another one is begun. Then every keyspace is written
    /// out, with a removal of what was never there: fjall compares numbers of writes, and a compaction that
    /// dropped a keyspace's last one, itself a removal, would have it wait until the next.
    fn give_up_journals(&self) -> Result<(), StoreError> {
        let old = self.journals()?;
        let meta = self.spaces.at(Space::Meta);
        let piece = vec![0_u8; PADDING_PIECE];
        for _ in 0..PADDING_PIECES {
            meta.insert(key::PADDING, piece.as_slice())?;
        }
        for _ in 0..JOURNAL_TRIES {
            for space in self.spaces.all() {
                space.remove(key::PADDING)?;
                space.rotate_memtable_and_wait()?;
            }
            for _ in 0..JOURNAL_LOOKS {
                if !self.journals()?.iter().any(|journal| old.contains(journal)) {
                    return Ok(());
                }
                std::thread::sleep(PAUSE);
            }
        }
        Err(StoreError::Unavailable("the journal that holds what was erased is still there".into()))
    }

    /// The files of the journals.
    fn journals(&self) -> Result<Vec<PathBuf>, StoreError> {
        let unreadable = |error: std::io::Error| StoreError::Unavailable(error.to_string());
        let mut journals = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "jnl") {
                journals.push(path);
            }
        }
        Ok(journals)
    }

    /// Waits, for a while, until no compaction runs.
    fn wait_for_compactions(&self) {
        for _ in 0..COMPACTION_LOOKS {
            if self.database.active_compactions() == 0 {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }
}
