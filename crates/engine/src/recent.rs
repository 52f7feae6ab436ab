//! Devices that inputs asked for lately: whoever sends an event mostly sends the next one within minutes, and
//! reading a device is the dearest part of joining an event to it.
//!
//! Only the writing thread changes devices, so what it remembers is as good as what it would read. What a batch
//! brings about is put here once the batch is written. After a commit that failed all of it is forgotten.

use measure::{AppId, DeviceId, device::Device, identifier::JoinKey};

use crate::view::Map;

/// Devices in each of the two generations.
const DEVICES_MAX: usize = 8_192;
/// Keys in each of the two generations.
const KEYS_MAX: usize = 4 * DEVICES_MAX;
/// Devices with more user properties than this, in bytes, are read each time.
const USER_BYTES_MAX: usize = 2_048;

/// What is put or asked for goes into the younger generation. When that is full it becomes the older one, and the
/// older one is forgotten: so the memory is bounded, and what is asked for often stays.
#[derive(Debug, Default)]
pub(crate) struct RecentDevices {
    young: Known,
    old: Known,
}

/// Devices, and where keys lead: `None` is nowhere.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub device_of: Map<(AppId, JoinKey), Option<DeviceId>>,
    pub devices: Map<DeviceId, Device>,
}

impl RecentDevices {
    /// Whether the device that a key leads to is at hand. If so it stays so until something is put.
    pub(crate) fn keep(&mut self, place: &(AppId, JoinKey)) -> bool {
        if let Some(id) = self.young.owner(place)
            && self.young.devices.contains_key(&id)
        {
            return true;
        }
        let Some(id) = self.young.owner(place).or_else(|| self.old.owner(place)) else { return false };
        if let Some(device) = self.old.devices.remove(&id) {
            self.young.devices.insert(id, device);
        }
        if !self.young.devices.contains_key(&id) {
            return false;
        }
        self.young.device_of.insert(place.clone(), Some(id));
        true
    }

    /// The device that a key leads to, if it is at hand.
    pub(crate) fn owner(&self, place: &(AppId, JoinKey)) -> Option<DeviceId> {
        self.young.owner(place).filter(|id| self.young.devices.contains_key(id))
    }

    /// A device that is at hand.
    pub(crate) fn device(&self, id: DeviceId) -> Option<&Device> {
        self.young.devices.get(&id)
    }

    /// Puts what is known once a batch is written.
    pub(crate) fn put(&mut self, known: Known) {
        for (place, device) in known.device_of {
            if device.is_some() {
                self.young.device_of.insert(place, device);
            } else {
                self.young.device_of.remove(&place);
                self.old.device_of.remove(&place);
            }
        }
        for (id, device) in known.devices {
            // Not even an earlier state of it may stay.
            self.old.devices.remove(&id);
            if device.user.bytes() <= USER_BYTES_MAX {
                self.young.devices.insert(id, device);
            } else {
                self.young.devices.remove(&id);
            }
        }
        if self.young.devices.len() > DEVICES_MAX || self.young.device_of.len() > KEYS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

impl Known {
    fn owner(&self, place: &(AppId, JoinKey)) -> Option<DeviceId> {
        self.device_of.get(place).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use measure::{InstallId, Timestamp, consent::Consent, platform::Traits, user::UserProperties};
    use uuid::Uuid;

    use super::*;

    fn device(id: usize) -> Device {
        let uuid = Uuid::from_u128(u128::try_from(id).unwrap());
        Device {
            id: DeviceId(uuid),
            app: AppId(1),
            kochava_ids: vec![id.to_string()],
            identifiers: Vec::new(),
            consent: Consent::default(),
            traits: Traits::default(),
            install: InstallId(uuid),
            installed: Timestamp(0),
            install_received: Timestamp(0),
            source: None,
            links: Vec::new(),
            claims: Vec::new(),
            user: UserProperties::default(),
            last_session: None,
            seen_events: Vec::new(),
            said: measure::device::Said::default(),
        }
    }

    fn place(id: usize) -> (AppId, JoinKey) {
        (AppId(1), JoinKey::kochava(&id.to_string()))
    }

    fn known(device: Device, place: (AppId, JoinKey)) -> Known {
        Known {
            device_of: [(place, Some(device.id))].into_iter().collect(),
            devices: [(device.id, device)].into_iter().collect(),
        }
    }

    fn nowhere(place: (AppId, JoinKey)) -> Known {
        Known { device_of: [(place, None)].into_iter().collect(), ..Known::default() }
    }

    /// The device under a key, asked for as a batch does.
    fn ask(recent: &mut RecentDevices, id: usize) -> Option<Device> {
        let is_at_hand = recent.keep(&place(id));
        let owner = recent.owner(&place(id));
        assert_eq!(owner.is_some(), is_at_hand);
        owner.and_then(|id| recent.device(id)).cloned()
    }

    /// Makes all that is at hand the older generation.
    fn age(recent: &mut RecentDevices) {
        recent.old = std::mem::take(&mut recent.young);
    }

    #[test]
    fn what_is_put_is_at_hand() {
        let mut recent = RecentDevices::default();
        recent.put(known(device(1), place(1)));
        assert_eq!(ask(&mut recent, 2), None);
        assert_eq!(ask(&mut recent, 1), Some(device(1)));
        age(&mut recent);
        assert_eq!(ask(&mut recent, 1), Some(device(1)));
    }

    #[test]
    fn keys_of_one_device_share_it() {
        let mut recent = RecentDevices::default();
        recent.put(known(device(1), place(1)));
        age(&mut recent);
        let also = (place(7), Some(device(1).id));
        recent.put(Known { device_of: [also].into_iter().collect(), ..Known::default() });
        assert_eq!(ask(&mut recent, 7), Some(device(1)));
        assert_eq!(ask(&mut recent, 1), Some(device(1)));
    }

    #[test]
    fn an_earlier_state_never_comes_back() {
        let mut recent = RecentDevices::default();
        recent.put(known(device(1), place(1)));
        age(&mut recent);
        let mut changed = device(1);
        changed.links.push(("id".to_owned(), "7".to_owned()));
        let devices = [(changed.id, changed.clone())].into_iter().collect();
        recent.put(Known { devices, ..Known::default() });
        assert_eq!(ask(&mut recent, 1), Some(changed));
    }

    #[test]
    fn a_key_that_leads_nowhere_is_unknown_in_whatever_generation_it_was() {
        for ages in [0, 1] {
            let mut recent = RecentDevices::default();
            recent.put(known(device(1), place(1)));
            (0..ages).for_each(|_| age(&mut recent));
            recent.put(nowhere(place(1)));
            assert_eq!(ask(&mut recent, 1), None);
        }
    }

    #[test]
    fn memory_is_bounded_and_what_is_asked_for_stays() {
        let mut recent = RecentDevices::default();
        recent.put(known(device(0), place(0)));
        for id in 1..5 * DEVICES_MAX {
            recent.put(known(device(id), place(id)));
            // One is asked for all the time.
            assert_eq!(ask(&mut recent, 0), Some(device(0)));
        }
        assert!(recent.young.devices.len() + recent.old.devices.len() <= 2 * DEVICES_MAX + 2);
        assert!(recent.young.device_of.len() + recent.old.device_of.len() <= 2 * KEYS_MAX + 2);
        assert_eq!(ask(&mut recent, 1), None);
    }
}
