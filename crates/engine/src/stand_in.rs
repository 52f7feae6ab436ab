//! What stands for a `kochava_device_id` that is an IDFA which may not be kept (DECISIONS 16), also where the sender
//! does not say of it that it is one.

use measure::{
    consent::Consent,
    device::Device,
    identifier::{IdKind, JoinKey, is_stand_in, stand_in},
    input::{Input, Payload},
};
use store::StoreError;

use crate::machine::Turn;

impl Turn<'_, '_> {
    /// Puts what stands for it in the place of the `kochava_device_id` of an input, where its device has that, or
    /// has it for an IDFA and the input refuses tracking; on the device, where the input has that.
    pub(crate) fn stand_in(&mut self, input: &mut Input) -> Result<(), StoreError> {
        let Some((sent, consent)) = named(&mut input.payload) else { return Ok(()) };
        let key = JoinKey::kochava(sent);
        let Some(owner) = self.view.owner(input.app, &key)? else { return Ok(()) };
        let Some(device) = self.view.at_hand(owner) else { return Ok(()) };
        if is_stand_in(sent) {
            if !device.kochava_ids.contains(sent) {
                let mut device = device.clone();
                for id in device.kochava_ids.iter_mut().filter(|id| JoinKey::kochava(id) == key) {
                    id.clone_from(sent);
                }
                self.view.put_device(device);
            }
            return Ok(());
        }
        let known = device.stand_in_of(sent).map(str::to_owned);
        let refused = || (consent.att.flag == Some(false) && is_idfa(device, sent)).then(|| stand_in(sent));
        if let Some(stand_in) = known.or_else(refused) {
            input.body = input.body.replace(sent.as_str(), &stand_in);
            *sent = stand_in;
        }
        Ok(())
    }
}

/// The `kochava_device_id` of an input, and what it says of consent.
const fn named(payload: &mut Payload) -> Option<(&mut String, &Consent)> {
    let (id, consent) = match payload {
        Payload::Install(install) => (install.origin.kochava_device_id.as_mut(), &install.origin.consent),
        Payload::Event(event) => (event.origin.kochava_device_id.as_mut(), &event.origin.consent),
        Payload::Update(update) => (Some(&mut update.kochava_device_id), &update.consent),
        Payload::Link(link) => (link.kochava_device_id.as_mut(), &link.consent),
        Payload::Engagement(_) | Payload::Aggregate(_) | Payload::Claim(_) | Payload::Ignored(_) => {
            return None;
        }
    };
    match id {
        Some(id) => Some((id, consent)),
        None => None,
    }
}

fn is_idfa(device: &Device, sent: &str) -> bool {
    device.identifiers.iter().any(|known| known.kind == IdKind::Idfa && known.is(sent))
}
