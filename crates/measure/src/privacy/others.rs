//! Who else carries the identity links of the devices found: an identifier is one device's own, a link may say
//! what many people are.

use std::collections::{BTreeMap, BTreeSet};

use super::{Subject, is_searched};
use crate::{AppId, InstallId, device::Device};

/// Devices of others that may carry a link value of the devices found: one that more carry is the name of a plan
/// or of a country rather than of a person.
const SHARED_MAX: usize = 10;

/// The link values of a subject's devices, held against all other devices.
#[derive(Clone, Debug)]
pub struct Others {
    carriers: BTreeMap<String, BTreeSet<(AppId, InstallId)>>,
}

impl Others {
    /// The values to compare. Those that the request named are looked for in any case.
    #[must_use]
    pub fn of(subject: &Subject) -> Self {
        let named = |value: &String| subject.links.iter().any(|(_, named)| named.to_lowercase() == *value);
        let values = subject.links_found.iter().map(|(_, value)| value.to_lowercase());
        let values = values.filter(|value| is_searched(value) && !named(value));
        Self { carriers: values.map(|value| (value, BTreeSet::new())).collect() }
    }

    /// Whether there is nothing to compare.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.carriers.is_empty()
    }

    /// Compares with one device, the subject's own among them.
    pub fn see(&mut self, subject: &Subject, device: &Device) {
        if device.links.is_empty() || subject.devices.contains(&(device.app, device.id, device.install)) {
            return;
        }
        let values: Vec<_> = device.links.iter().map(|(_, value)| value.to_lowercase()).collect();
        for (value, carriers) in &mut self.carriers {
            if carriers.len() <= SHARED_MAX && values.iter().any(|other| other.contains(value)) {
                carriers.insert((device.app, device.install));
            }
        }
    }

    /// Leaves to a subject the links that tell of few, and names those few.
    pub fn settle(self, subject: &mut Subject) {
        let shared = |value: &str| self.carriers.get(&value.to_lowercase()).map_or(0, BTreeSet::len);
        subject.links_found.retain(|(_, value)| shared(value) <= SHARED_MAX);
        let few = self.carriers.into_values().filter(|carriers| carriers.len() <= SHARED_MAX);
        subject.others = few.flatten().collect::<BTreeSet<_>>().into_iter().collect();
    }
}
