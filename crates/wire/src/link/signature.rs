//! Click validation: links that their network has signed
//! (tracking-and-attribution.md sections 14 and 19).

use std::collections::HashSet;

use hmac::{Hmac, KeyInit, Mac};
use measure::{Timestamp, flag::Flag, fraud::SigningHash};
use sha1::Sha1;
use sha2::Sha256;

use super::{Link, identifiers};
use crate::auth::from_hex;

/// What the signed text begins with, whatever the host.
const PATH: &str = "/v1/cpi/click?";

impl Link {
    /// What the signature of a click is worth.
    ///
    /// `signature` is the hexadecimal HMAC, under the network's key and by its hash, over [`PATH`] and the query as it
    /// was sent, up to the `&` before `signature`. `expires`, in epoch seconds, is among what is signed. What
    /// comes after `signature` is not covered. A key given twice makes it wrong, be it among what is signed or
    /// once more behind it: the last value counts, and that one nobody signed.
    #[must_use]
    pub fn signature(&self, key: &[u8], hash: SigningHash, received: Timestamp) -> Flag {
        let place = self.raw.find("&signature=");
        let Some((signed, rest)) = place.and_then(|place| self.raw.split_at_checked(place)) else {
            return Flag::SignatureMissing;
        };
        let sent = rest.trim_start_matches("&signature=").split('&').next().unwrap_or_default();
        if sent.is_empty() {
            return Flag::SignatureMissing;
        }
        let pairs: Vec<_> = form_urlencoded::parse(signed.as_bytes()).collect();
        let Some((_, expires)) = pairs.iter().find(|(name, _)| name == "expires") else {
            return Flag::SignatureMissing;
        };
        let mut names = HashSet::new();
        let covered: HashSet<&str> = pairs.iter().map(|(name, _)| subject(name)).collect();
        let repeats = self.pairs.iter().filter(|(name, _)| name == "signature").count() > 1
            || !pairs.iter().all(|(name, _)| names.insert(name))
            || form_urlencoded::parse(rest.as_bytes()).any(|(name, _)| covered.contains(subject(&name)));
        let is_ours = from_hex(sent).is_some_and(|sent| match hash {
            SigningHash::Sha256 => verifies::<Hmac<Sha256>>(key, signed, &sent),
            SigningHash::Sha1 => verifies::<Hmac<Sha1>>(key, signed, &sent),
        });
        match expires.parse::<i64>() {
            Ok(expires) if is_ours && !repeats => {
                if received.seconds() > expires {
                    Flag::SignatureExpired
                } else {
                    Flag::SignatureOk
                }
            }
            _ => Flag::SignatureBad,
        }
    }
}

/// What a parameter is about, whichever of its names it has: the user agent, or the device, which every
/// identifier names.
fn subject(key: &str) -> &str {
    match key {
        "user_agent" => "device_ua",
        key if identifiers::is_own_key(key) => "device_id",
        key => key,
    }
}

/// Compares in constant time.
fn verifies<M: Mac + KeyInit>(key: &[u8], signed: &str, sent: &[u8]) -> bool {
    <M as KeyInit>::new_from_slice(key).is_ok_and(|mut mac| {
        mac.update(PATH.as_bytes());
        mac.update(signed.as_bytes());
        mac.verify_slice(sent).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::read;

    const KEY: &[u8] = b"a key of sixteen";
    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn sign(query: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
        mac.update(format!("/v1/cpi/click?{query}").as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{query}&signature={hex}")
    }

    #[track_caller]
    fn check(query: &str, expected: Flag) {
        assert_eq!(read(query).signature(KEY, SigningHash::Sha256, NOW), expected, "{query}");
    }

    /// Computed apart from this program, by `openssl dgst -sha256 -hmac`.
    #[test]
    fn the_signature_is_that_of_other_tools() {
        check(
            "campaign_id=kot&network_id=77&expires=1800000060&signature=75dc4c20479961310a1e300e83c78ca95dd9635dbe4a1aadb6f84e8dfe9d679c",
            Flag::SignatureOk,
        );
    }

    #[test]
    fn a_network_may_sign_by_sha1() {
        let query = "campaign_id=kot&network_id=77&expires=1800000060&signature=3018d3162b764435c5fb937d822a9308043b4cfa";
        let sha256 = "campaign_id=kot&network_id=77&expires=1800000060&signature=75dc4c20479961310a1e300e83c78ca95dd9635dbe4a1aadb6f84e8dfe9d679c";
        for (query, hash, expected) in [
            (query, SigningHash::Sha1, Flag::SignatureOk),
            (query, SigningHash::Sha256, Flag::SignatureBad),
            (sha256, SigningHash::Sha1, Flag::SignatureBad),
            (sha256, SigningHash::Sha256, Flag::SignatureOk),
        ] {
            assert_eq!(read(query).signature(KEY, hash, NOW), expected, "{query} {hash:?}");
        }
    }

    #[test]
    fn signatures_cover_what_comes_before_them() {
        let signed = sign("campaign_id=kot&click_id=a%20b&expires=1800000060");
        check(&signed, Flag::SignatureOk);
        check(&format!("{signed}&cp_0=later"), Flag::SignatureOk);
        check(&signed.replace("a%20b", "a+b"), Flag::SignatureBad);
        check(&signed.replace("a%20b", "c"), Flag::SignatureBad);
        check(&format!("cp_0=x&{signed}"), Flag::SignatureBad);
        check(&signed.to_uppercase().replace("SIGNATURE", "signature"), Flag::SignatureMissing);
        check(
            &format!("{}0", &signed[..signed.len() - 1]),
            match signed.ends_with('0') {
                true => Flag::SignatureOk,
                false => Flag::SignatureBad,
            },
        );
    }

    #[test]
    fn they_expire_after_their_second() {
        for (expires, expected) in [
            ("1800000001", Flag::SignatureOk),
            ("1800000000", Flag::SignatureOk),
            ("1799999999", Flag::SignatureExpired),
            ("soon", Flag::SignatureBad),
            ("null", Flag::SignatureBad),
        ] {
            check(&sign(&format!("campaign_id=kot&expires={expires}")), expected);
        }
    }

    #[test]
    fn half_a_signature_is_none_and_doubled_keys_are_wrong() {
        check("campaign_id=kot", Flag::SignatureMissing);
        check("", Flag::SignatureMissing);
        check("campaign_id=kot&expires=1800000060", Flag::SignatureMissing);
        check("campaign_id=kot&expires=1800000060&signature=", Flag::SignatureMissing);
        check("campaign_id=kot&expires=1800000060&signature=zz", Flag::SignatureBad);
        check(&sign("campaign_id=kot"), Flag::SignatureMissing);
        check(&sign("campaign_id=kot&site_id=1&site_id=2&expires=1800000060"), Flag::SignatureBad);
        let signed = sign("campaign_id=kot&expires=1800000060");
        check(&format!("{signed}&signature=00"), Flag::SignatureBad);
    }

    #[test]
    fn nothing_that_is_signed_can_be_said_anew_behind_the_signature() {
        let query = "campaign_id=kot&site_id=&device_ua=x&adid=a&expires=1800000060";
        for (behind, expected) in [
            ("site_id=evil", Flag::SignatureBad),
            ("campaign_id=kot", Flag::SignatureBad),
            ("cp_0=1&campaign%5Fid=other", Flag::SignatureBad),
            ("expires=1900000000", Flag::SignatureBad),
            ("user_agent=y", Flag::SignatureBad),
            ("adid=b", Flag::SignatureBad),
            ("ADID=b", Flag::SignatureBad),
            ("adid_md5=b", Flag::SignatureBad),
            ("device_id=b&device_id_type=adid", Flag::SignatureBad),
            ("ios_idfa=b", Flag::SignatureBad),
            ("device_id_is_hashed=true", Flag::SignatureBad),
            ("ip_address=203.0.113.9&click_id=c", Flag::SignatureOk),
        ] {
            check(&format!("{}&{behind}", sign(query)), expected);
        }
        for (signed, behind) in
            [("ios_idfa=a", "idfa=b"), ("device_id=a&device_id_type=idfa", "idfa=b"), ("adid=null", "adid=b")]
        {
            let signed = sign(&format!("campaign_id=kot&{signed}&expires=1800000060"));
            check(&format!("{signed}&{behind}"), Flag::SignatureBad);
        }
        // A link that signs no identifier leaves open whose it is.
        check(&format!("{}&adid=b", sign("campaign_id=kot&expires=1800000060")), Flag::SignatureOk);
    }
}
