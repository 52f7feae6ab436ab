//! The keyspaces, and how each is tuned.

use fjall::{
    Database, Keyspace, KeyspaceCreateOptions,
    config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry, PartitioningPolicy},
};

use crate::StoreError;

/// A keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Space {
    Meta,
    Facts,
    Inputs,
    Devices,
    DeviceKeys,
    Touches,
    Arrivals,
    Held,
    Seen,
    Installs,
    Decisions,
    Credits,
    Timeline,
    Aggregates,
    Counted,
    Deliveries,
    InstallDeliveries,
    Queues,
    Pending,
    Changes,
    Quarantine,
    Shelves,
    EventNames,
    DigestLengths,
    DigestIndexes,
    Tally,
    Figures,
    KeyUses,
    Jobs,
    Tombstones,
    Costs,
    Settled,
}

/// How a keyspace is mostly read, which decides what Bloom filters are good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// One key that is there: filters of the last level, nine tenths of all, would never say no.
    Hits,
    /// One key that is often not there: filters everywhere.
    Misses,
    /// Ranges, which ask no filter.
    Ranges,
}

/// By level, whether the index and the filter of a table are cut into blocks as its data is. Those that a memtable
/// is written to are small and stay in memory. fjall would keep the larger ones of the two levels below whole as
/// well: a megabyte each, which every read takes in anew once the cache does not hold them all.
const CUT: [bool; 2] = [false, true];

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Every keyspace: its name on disk, the size of its memtable (what is written most gets most; all
/// together come to about 100 MiB), and how it is read.
const TABLE: [(Space, &str, u64, Reads); 32] = [
    (Space::Meta, "meta", 512 * KIB, Reads::Hits),
    (Space::Facts, "facts", 16 * MIB, Reads::Hits),
    (Space::Inputs, "inputs", 4 * MIB, Reads::Hits),
    (Space::Devices, "devices", 8 * MIB, Reads::Hits),
    (Space::DeviceKeys, "device_keys", 4 * MIB, Reads::Misses),
    (Space::Touches, "touches", 16 * MIB, Reads::Ranges),
    (Space::Arrivals, "arrivals", 4 * MIB, Reads::Ranges),
    (Space::Held, "held", 2 * MIB, Reads::Ranges),
    (Space::Seen, "seen", 4 * MIB, Reads::Misses),
    (Space::Installs, "installs", 8 * MIB, Reads::Hits),
    (Space::Decisions, "decisions", 4 * MIB, Reads::Ranges),
    (Space::Credits, "credits", MIB, Reads::Ranges),
    (Space::Timeline, "timeline", 2 * MIB, Reads::Ranges),
    (Space::Aggregates, "aggregates", MIB, Reads::Ranges),
    (Space::Counted, "counted", MIB, Reads::Misses),
    (Space::Deliveries, "deliveries", 8 * MIB, Reads::Misses),
    (Space::InstallDeliveries, "install_deliveries", MIB, Reads::Ranges),
    (Space::Queues, "queues", 2 * MIB, Reads::Ranges),
    (Space::Pending, "pending", 2 * MIB, Reads::Ranges),
    (Space::Changes, "changes", MIB, Reads::Ranges),
    (Space::Quarantine, "quarantine", 4 * MIB, Reads::Ranges),
    (Space::Shelves, "shelves", MIB, Reads::Ranges),
    (Space::EventNames, "event_names", 512 * KIB, Reads::Ranges),
    (Space::DigestLengths, "digest_lengths", 512 * KIB, Reads::Ranges),
    (Space::DigestIndexes, "digest_indexes", 512 * KIB, Reads::Ranges),
    (Space::Tally, "tally", 512 * KIB, Reads::Ranges),
    (Space::Figures, "figures", 4 * MIB, Reads::Ranges),
    (Space::KeyUses, "key_uses", 512 * KIB, Reads::Ranges),
    (Space::Jobs, "jobs", 512 * KIB, Reads::Ranges),
    (Space::Tombstones, "tombstones", 512 * KIB, Reads::Ranges),
    (Space::Costs, "costs", 512 * KIB, Reads::Ranges),
    (Space::Settled, "settled", MIB, Reads::Ranges),
];

/// The open keyspaces.
pub(super) struct Spaces(Vec<Keyspace>);

impl Spaces {
    /// Opens all, making those that are not there yet.
    pub fn open(database: &Database) -> Result<Self, StoreError> {
        TABLE
            .iter()
            .map(|(_, name, memtable, reads)| open(database, name, *memtable, *reads))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Opens the one that tells whether the others may be opened.
    pub fn meta(database: &Database) -> Result<Keyspace, StoreError> {
        let (_, name, memtable, reads) = TABLE[0];
        open(database, name, memtable, reads)
    }

    /// All of them.
    pub fn all(&self) -> &[Keyspace] {
        &self.0
    }

    /// The keyspace of `space`; [`TABLE`] is in the order of the variants, which a test asserts.
    pub fn at(&self, space: Space) -> &Keyspace {
        &self.0[space as usize]
    }
}

fn open(database: &Database, name: &str, memtable: u64, reads: Reads) -> Result<Keyspace, StoreError> {
    let options = || {
        let options = KeyspaceCreateOptions::default()
            .max_memtable_size(memtable)
            .index_block_partitioning_policy(PartitioningPolicy::new(CUT))
            .filter_block_partitioning_policy(PartitioningPolicy::new(CUT));
        match reads {
            Reads::Hits => options.expect_point_read_hits(true),
            Reads::Misses => options.filter_policy(FilterPolicy::all(FilterPolicyEntry::Bloom(
                BloomConstructionPolicy::BitsPerKey(10.0),
            ))),
            Reads::Ranges => options.filter_policy(FilterPolicy::disabled()),
        }
    };
    Ok(database.keyspace(name, options)?)
}

#[cfg(test)]
mod tests {
    use super::TABLE;

    #[test]
    fn the_table_is_in_the_order_of_the_variants() {
        for (place, (space, ..)) in TABLE.iter().enumerate() {
            assert_eq!(*space as usize, place);
        }
    }
}
