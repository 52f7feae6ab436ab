//! The secrets that postbacks are signed with: `whsec_` and base64, as Standard Webhooks writes them, sealed at
//! rest. Several sign in parallel, so that a receiver can change from one to the next.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use courier::Secrets;
use measure::{
    Timestamp,
    postback::{SigningSecret, Trigger},
};

use crate::{catalogue::CatalogueService, clock, error::Error, vault::Vault};

/// The context key that a secret can be given by. It is taken out of the context when it is saved.
pub const CONTEXT_KEY: &str = "sx_signing_secret";

/// Secrets of one trigger at a time.
const SECRETS_MAX: usize = 5;
/// How long a secret is, bytes, as the specification has it.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
const PREFIX: &str = "whsec_";

/// What the courier asks for the secrets of a trigger.
pub fn secrets(catalogue: &CatalogueService, vault: &Arc<Vault>) -> Secrets {
    let (catalogue, vault) = (catalogue.clone(), vault.clone());
    Arc::new(move |trigger| {
        let current = catalogue.current();
        let sealed = current.trigger(trigger).map(|trigger| trigger.sending.secrets.as_slice());
        sealed.unwrap_or_default().iter().filter_map(|secret| vault.open(&secret.sealed)).collect()
    })
}

/// A new secret.
#[must_use]
pub fn generate() -> String {
    format!("{PREFIX}{}", STANDARD.encode(clock::random::<32>()))
}

/// Adds a secret, given in the field `name`, to those that a trigger signs with, unless it is one of them. The
/// answer is how it is kept.
pub fn add(
    trigger: &mut Trigger,
    name: &str,
    secret: &str,
    vault: &Vault,
    now: Timestamp,
) -> Result<SigningSecret, Error> {
    let wrong = || {
        let text = format!("{name}: must be {PREFIX} followed by the base64 of 24 to 64 bytes, or left out");
        Error::BadRequest(text)
    };
    let encoded = secret.trim().strip_prefix(PREFIX).ok_or_else(wrong)?;
    let bytes = STANDARD.decode(encoded).map_err(|_| wrong())?;
    if !SECRET_BYTES.contains(&bytes.len()) {
        return Err(wrong());
    }
    let secrets = &mut trigger.sending.secrets;
    if let Some(known) =
        secrets.iter().find(|known| vault.open(&known.sealed).is_some_and(|open| open == bytes))
    {
        return Ok(known.clone());
    }
    if secrets.len() >= SECRETS_MAX {
        return Err(Error::Conflict(format!(
            "a trigger signs with at most {SECRETS_MAX} secrets; delete one first"
        )));
    }
    let sealed = vault.seal(&bytes).map_err(|_| Error::Internal("a secret cannot be sealed"))?;
    let id = secrets.last().map_or(1, |last| last.id.saturating_add(1));
    let added = SigningSecret { id, sealed, created: now };
    secrets.push(added.clone());
    Ok(added)
}

/// Takes a secret that was given in the context out of it, to be sealed.
pub fn take(trigger: &mut Trigger, vault: &Vault, now: Timestamp) -> Result<(), Error> {
    let Some(place) = trigger.context.iter().position(|(key, _)| key == CONTEXT_KEY) else { return Ok(()) };
    let (_, value) = trigger.context.remove(place);
    add(trigger, &format!("context.{CONTEXT_KEY}"), value.text(), vault, now).map(|_| ())
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::{PREFIX, SECRET_BYTES, generate};

    #[test]
    fn a_generated_secret_is_one() {
        let (one, other) = (generate(), generate());
        assert_ne!(one, other);
        let bytes = STANDARD.decode(one.strip_prefix(PREFIX).unwrap()).unwrap();
        assert!(SECRET_BYTES.contains(&bytes.len()));
    }
}
