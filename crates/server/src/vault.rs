//! Secrets at rest: sealed with ChaCha20-Poly1305 under a key file in the data directory (DECISIONS 34).

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit as _, Nonce, aead::Aead as _};
use measure::catalogue::Sealed;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::clock;

const KEY_FILE: &str = "secret.key";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// Why a secret cannot be sealed or opened, or the key file not be used.
#[derive(Debug, Error)]
pub enum VaultError {
    /// The key file cannot be read or made.
    #[error("{path}: {source}")]
    File {
        /// The key file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The key file is not one.
    #[error("{0}: must hold exactly 32 bytes; restore it from the backup of the data directory")]
    BadKey(String),
    /// Others may read the key file.
    #[error("{0}: others may read it; run `chmod 600` on it")]
    Exposed(String),
    /// The secret was sealed under another key, or the record is damaged.
    #[error("a stored secret cannot be opened with secret.key; set the secret again or restore the key file")]
    Unreadable,
}

/// Seals and opens secrets.
pub struct Vault {
    cipher: ChaCha20Poly1305,
    key: [u8; KEY_BYTES],
}

impl Vault {
    /// Takes the key from `secret.key` in `directory`, making the file (mode 0600) if there is none.
    pub fn load(directory: &Path) -> Result<Self, VaultError> {
        let path = directory.join(KEY_FILE);
        let name = path.display().to_string();
        let failed = |source| VaultError::File { path: name.clone(), source };
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        match made {
            Ok(mut file) => {
                file.write_all(&clock::random::<KEY_BYTES>()).map_err(failed)?;
                file.sync_all().map_err(failed)?;
                fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        let mode = fs::metadata(&path).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(VaultError::Exposed(name));
        }
        let bytes = fs::read(&path).map_err(failed)?;
        let key: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| VaultError::BadKey(name))?;
        Ok(Self::with_key(key))
    }

    /// A vault with a key at hand.
    #[must_use]
    pub fn with_key(key: [u8; KEY_BYTES]) -> Self {
        Self { cipher: ChaCha20Poly1305::new(&Key::from(key)), key }
    }

    /// Bytes that only this key file gives, for the purpose that `label` names.
    #[must_use]
    pub fn derive(&self, label: &str) -> [u8; 32] {
        Sha256::new().chain_update(self.key).chain_update(label).finalize().into()
    }

    /// Seals a secret under a fresh nonce, which stands before the ciphertext.
    pub fn seal(&self, secret: impl AsRef<[u8]>) -> Result<Sealed, VaultError> {
        let nonce: [u8; NONCE_BYTES] = clock::random();
        let sealed =
            self.cipher.encrypt(&Nonce::from(nonce), secret.as_ref()).map_err(|_| VaultError::Unreadable)?;
        Ok(Sealed([nonce.as_slice(), &sealed].concat()))
    }

    /// Opens a sealed secret. `None`, with a line in the log, when it was sealed under another key or is
    /// damaged: then nothing that depends on it passes.
    #[must_use]
    pub fn open(&self, sealed: &Sealed) -> Option<Vec<u8>> {
        let opened = self.unseal(sealed);
        if opened.is_none() {
            tracing::error!("{}", VaultError::Unreadable);
        }
        opened
    }

    fn unseal(&self, sealed: &Sealed) -> Option<Vec<u8>> {
        let (nonce, body) = sealed.0.split_first_chunk::<NONCE_BYTES>()?;
        self.cipher.decrypt(&Nonce::from(*nonce), body).ok()
    }
}
