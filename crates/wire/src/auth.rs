//! Install authentication (ingest.md section 11, DECISIONS 21).

use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// What the authentication headers are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthOutcome {
    /// Key and token belong to the body.
    Ok,
    /// The key, the token or both were not sent.
    Missing,
    /// They were sent and are wrong.
    Bad,
}

/// Checks `Kochava-Api-Key` (`sent_key`) and `Kochava-Auth-Token` (`sent_token`) against the body.
///
/// The token is the hexadecimal HMAC-SHA256, keyed with the API key, over the secret followed by the
/// hexadecimal SHA-1 of the body (after inflation). It may also have been made over the body as PHP writes
/// it, with each `/` as `\/`. Compares in constant time.
#[must_use]
pub fn authenticate(
    body: &[u8],
    api_key: &str,
    secret: &[u8],
    sent_key: Option<&str>,
    sent_token: Option<&str>,
) -> AuthOutcome {
    let sent =
        |header: Option<&str>| header.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let (Some(sent_key), Some(sent_token)) = (sent(sent_key), sent(sent_token)) else {
        return AuthOutcome::Missing;
    };
    let key_fits = same_bytes(sent_key.as_bytes(), api_key.as_bytes());
    let token_fits = from_hex(&sent_token).is_some_and(|token| {
        let raw = is_token_of(body, api_key, secret, &token);
        let escaped = is_token_of(&with_escaped_slashes(body), api_key, secret, &token);
        raw | escaped
    });
    if key_fits & token_fits { AuthOutcome::Ok } else { AuthOutcome::Bad }
}

fn is_token_of(body: &[u8], api_key: &str, secret: &[u8], token: &[u8]) -> bool {
    let payload_hash: String = Sha1::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    Hmac::<Sha256>::new_from_slice(api_key.as_bytes()).is_ok_and(|mut mac| {
        mac.update(secret);
        mac.update(payload_hash.as_bytes());
        mac.verify_slice(token).is_ok()
    })
}

/// The body with every `/` that has no backslash before it (itself not escaped) written `\/`.
fn with_escaped_slashes(body: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(body.len() + 16);
    let mut after_backslash = false;
    for &byte in body {
        if byte == b'/' && !after_backslash {
            escaped.push(b'\\');
        }
        escaped.push(byte);
        after_backslash = byte == b'\\' && !after_backslash;
    }
    escaped
}

pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

/// Compares without telling by its duration where the difference is.
fn same_bytes(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |differ, (l, r)| differ | (l ^ r)) == 0
}
