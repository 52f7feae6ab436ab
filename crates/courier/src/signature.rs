//! Signatures as Standard Webhooks describes them: the receiver can tell who sent a request, that nobody
//! changed it, and when it was sent.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use measure::Timestamp;
use sha2::Sha256;

/// The headers of a signed request: identifier, time, signatures.
pub const HEADERS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

/// The value of `webhook-signature`: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, once for
/// each secret, separated by spaces, so that a receiver finds the one it knows while secrets are changed.
#[must_use]
pub fn sign(secrets: &[Vec<u8>], id: &str, at: Timestamp, body: &str) -> String {
    let content = format!("{id}.{}.{body}", at.seconds());
    let signatures: Vec<String> = secrets
        .iter()
        .filter_map(|secret| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
            mac.update(content.as_bytes());
            Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
        })
        .collect();
    signatures.join(" ")
}
