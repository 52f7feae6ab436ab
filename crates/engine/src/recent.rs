//! Devices that inputs asked for lately: whoever sends an event mostly sends the next one within minutes, and
//! reading a device is the dearest part of joining an event to it.
//!
//! Only the writing thread changes devices, so what it remembers is as good as what it would read. A
//! device is taken out while a batch is being decided and put back, as it is by then, once the batch
//! is written. After a commit that failed all of it is forgotten.

use std::collections::{HashMap, hash_map::Entry};

use measure::{AppId, DeviceId, device::Device, identifier::JoinKey};

/// Devices in each of the two generations.
const DEVICES_MAX: usize = 8_192;
/// Keys in each of the two generations.
const KEYS_MAX: usize = 4 * DEVICES_MAX;
/// Devices with more user properties than this, in bytes, are read each time.
const USER_BYTES_MAX: usize = 2_048;

/// What is put goes into the younger generation. When that is full it becomes the older one, and the older
/// one is forgotten: so the memory is bounded, and what is asked for often stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecentDevices {
    young: Generation,
    old: Generation,
}

/// Devices, and where keys lead: `None` is nowhere.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub device_of: HashMap<(AppId, JoinKey), Option<DeviceId>>,
    pub devices: HashMap<DeviceId, Device>,
}

#[derive(Clone, Debug, Default)]
struct Generation {
    device_of: HashMap<(AppId, JoinKey), DeviceId>,
    devices: HashMap<DeviceId, Device>,
}

impl RecentDevices {
    /// Takes out the devices that keys of `wanted` are known to lead to; what is left there has to be loaded.
    pub(crate) fn take(&mut self, wanted: &mut Vec<(AppId, JoinKey)>) -> Known {
        let mut known = Known::default();
        wanted.retain(|place| {
            let Some(id) = self.owner(place) else { return true };
            if let Entry::Vacant(missing) = known.devices.entry(id) {
                let old = self.old.devices.remove(&id);
                let Some(device) = self.young.devices.remove(&id).or(old) else { return true };
                missing.insert(device);
            }
            known.device_of.insert(place.clone(), Some(id));
            false
        });
        known
    }

    fn owner(&self, place: &(AppId, JoinKey)) -> Option<DeviceId> {
        self.young.device_of.get(place).or_else(|| self.old.device_of.get(place)).copied()
    }

    /// Puts back what is known once a batch is written.
    pub(crate) fn put(&mut self, known: Known) {
        for (place, device) in known.device_of {
            match device {
                Some(device) => {
                    self.young.device_of.insert(place, device);
                }
                None => {
                    self.young.device_of.remove(&place);
                    self.old.device_of.remove(&place);
                }
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
        }
    }

    fn place(id: usize) -> (AppId, JoinKey) {
        (AppId(1), JoinKey::KochavaDeviceId(id.to_string()))
    }

    fn known(device: Device, place: (AppId, JoinKey)) -> Known {
        Known { device_of: [(place, Some(device.id))].into(), devices: [(device.id, device)].into() }
    }

    fn take(recent: &mut RecentDevices, id: usize) -> Option<Device> {
        let mut wanted = vec![place(id)];
        let found = recent.take(&mut wanted).devices.into_values().next();
        assert_eq!(wanted.is_empty(), found.is_some());
        found
    }

    #[test]
    fn what_is_put_is_there_until_it_is_taken() {
        let mut recent = RecentDevices::default();
        recent.put(known(device(1), place(1)));
        assert_eq!(take(&mut recent, 2), None);
        assert_eq!(take(&mut recent, 1), Some(device(1)));
        assert_eq!(take(&mut recent, 1), None);
    }

    #[test]
    fn keys_of_one_device_share_it() {
        let mut recent = RecentDevices::default();
        recent.put(known(device(1), place(1)));
        let also = (place(7), Some(device(1).id));
        recent.put(Known { device_of: [also].into(), devices: HashMap::new() });
        let mut wanted = vec![place(1), place(7), place(8)];
        let found = recent.take(&mut wanted);
        assert_eq!((found.device_of.len(), found.devices.len()), (2, 1));
        assert_eq!(wanted, [place(8)]);
    }

    #[test]
    fn an_earlier_state_never_comes_back() {
        let mut recent = RecentDevices::default();
        recent.put(known(device(1), place(1)));
        recent.old = std::mem::take(&mut recent.young);
        let mut changed = device(1);
        changed.links.push(("id".to_owned(), "7".to_owned()));
        recent.put(Known { devices: [(changed.id, changed.clone())].into(), ..Known::default() });
        assert_eq!(take(&mut recent, 1), Some(changed));
        assert_eq!(take(&mut recent, 1), None);
        // A key that leads nowhere any more is unknown, in whatever generation it was.
        recent.put(known(device(1), place(1)));
        recent.put(Known { device_of: [(place(1), None)].into(), ..Known::default() });
        assert_eq!(take(&mut recent, 1), None);
    }

    #[test]
    fn memory_is_bounded_and_what_is_asked_for_stays() {
        let mut recent = RecentDevices::default();
        recent.put(known(device(0), place(0)));
        for id in 1..5 * DEVICES_MAX {
            recent.put(known(device(id), place(id)));
            // One is asked for all the time.
            let first = take(&mut recent, 0).expect("it is asked for often");
            recent.put(known(first, place(0)));
        }
        assert!(recent.young.devices.len() + recent.old.devices.len() <= 2 * DEVICES_MAX + 2);
        assert!(recent.young.device_of.len() + recent.old.device_of.len() <= 2 * KEYS_MAX + 2);
        assert_eq!(take(&mut recent, 1), None);
    }
}
