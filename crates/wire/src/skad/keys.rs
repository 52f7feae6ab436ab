//! The keys that postbacks are verified with, and the two ways of Apple's signatures.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use measure::skad::Signed;
use p192::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::{ecdsa::signature::Verifier as _, pkcs8::DecodePublicKey as _};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Apple's key for SKAdNetwork 2.0, P-192. Source: Apple's "SKAdNetwork 2 release notes".
const SKADNETWORK_EARLY: &str =
    "MEkwEwYHKoZIzj0CAQYIKoZIzj0DAQEDMgAEMyHD625uvsmGq4C43cQ9BnfN2xslVT5V1nOmAMP6qaRRUll3PB1JYmgSm+62sosG";
/// Apple's key for SKAdNetwork 2.1 and later, P-256. Source: Apple's "Verifying an install-validation
/// postback".
const SKADNETWORK: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWdp8GPcGqmhgzEFj9Z2nSpQVddayaPe4FMzqM9wib1+\
                           aHaaIzoHoLN9zW4K8y4SPykE3YVK3sVqW6Af0lfx3gg==";
/// Apple's keys for AdAttributionKit, all P-256. Source: Apple's "Verifying a postback"; the production key
/// is the one of SKAdNetwork.
const ADATTRIBUTIONKIT: [(&str, &str, Signed); 3] = [
    ("apple-cas-identifier/0", SKADNETWORK, Signed::Production),
    (
        "apple-development-identifier/0",
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAELeEDzpJEP+/qRSE5hJVC1p1J0ssUnQGMzBBbvnACBok8OVGGLgxL0myrKiy6lvRt\
         SlLRsWit87i+vftD8AEqeQ==",
        Signed::Development,
    ),
    (
        "apple-development-identifier/1",
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YzdO7eM97s/IJ25kdW5CZ3A14USE5IJ5Ha/vhWaxI6UBI1ZxCEvjrKxVluVGe6q\
         WwF1BDFq+QHqKfH5u+wxHQ==",
        Signed::Development,
    ),
];

/// A key that is no public key in the form that Apple publishes: base64 of X.509 SubjectPublicKeyInfo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a public key: it must be the base64 of an X.509 SubjectPublicKeyInfo of the right curve")]
pub struct InvalidKey;

/// The keys whose signatures count.
#[derive(Clone, Debug)]
pub struct TrustedKeys {
    early: p192::ecdsa::VerifyingKey,
    later: p256::ecdsa::VerifyingKey,
    jws: Vec<(String, p256::ecdsa::VerifyingKey, Signed)>,
}

/// What is signed, with the signature.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    /// SKAdNetwork 2.0: ASN.1 DER, P-192.
    Early { message: Vec<u8>, signature: Vec<u8> },
    /// SKAdNetwork from 2.1 on: ASN.1 DER, P-256.
    Later { message: Vec<u8>, signature: Vec<u8> },
    /// AdAttributionKit: both numbers one after the other, P-256, under a named key.
    Jws { key: String, message: Vec<u8>, signature: Vec<u8> },
}

impl TrustedKeys {
    /// The keys that Apple publishes.
    ///
    /// # Errors
    /// Never with the keys of this program; a test rules it out.
    pub fn apple() -> Result<Self, InvalidKey> {
        Self::new(SKADNETWORK_EARLY, SKADNETWORK, &ADATTRIBUTIONKIT)
    }

    /// Other keys, in the form that Apple publishes its own: for SKAdNetwork 2.0, for SKAdNetwork from 2.1
    /// on, and those of AdAttributionKit with their names.
    ///
    /// # Errors
    /// One of them is no key.
    pub fn new(early: &str, later: &str, jws: &[(&str, &str, Signed)]) -> Result<Self, InvalidKey> {
        let early = p192::ecdsa::VerifyingKey::from_public_key_der(&der(early)?).map_err(|_| InvalidKey)?;
        let jws = jws.iter().map(|(id, key, signed)| Ok(((*id).to_owned(), p256_key(key)?, *signed)));
        Ok(Self { early, later: p256_key(later)?, jws: jws.collect::<Result<_, _>>()? })
    }

    /// Whose signature it is; `None` when it is nobody's.
    pub(super) fn verify(&self, proof: &Proof) -> Option<Signed> {
        match proof {
            Proof::Early { message, signature } => {
                let signature = p192::ecdsa::DerSignature::from_bytes(signature).ok()?;
                let signature = p192::ecdsa::Signature::try_from(signature).ok()?;
                self.early.verify_prehash(&Sha256::digest(message), &signature).ok()?;
                Some(Signed::Production)
            }
            Proof::Later { message, signature } => {
                let signature = p256::ecdsa::DerSignature::from_bytes(signature).ok()?;
                self.later.verify(message, &signature).ok()?;
                Some(Signed::Production)
            }
            Proof::Jws { key, message, signature } => {
                let (_, key, signed) = self.jws.iter().find(|(id, ..)| id == key)?;
                let signature = p256::ecdsa::Signature::from_slice(signature).ok()?;
                key.verify(message, &signature).ok()?;
                Some(*signed)
            }
        }
    }
}

fn p256_key(key: &str) -> Result<p256::ecdsa::VerifyingKey, InvalidKey> {
    p256::ecdsa::VerifyingKey::from_public_key_der(&der(key)?).map_err(|_| InvalidKey)
}

fn der(key: &str) -> Result<Vec<u8>, InvalidKey> {
    STANDARD.decode(key).map_err(|_| InvalidKey)
}
