//! Who may use the management interface: the header `Authentication-Key` (DECISIONS 27, 34).

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use measure::{
    AppId, KeyId,
    catalogue::{Catalogue, ManagementKey},
};
use sha2::{Digest as _, Sha256};

use crate::{error::Error, site::Site};

/// The header that carries the key.
pub const HEADER: &str = "authentication-key";

/// SHA-256 of a key: all that is stored of it, and all that look-ups compare.
#[must_use]
pub fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Whoever holds the key that a request came with.
#[derive(Clone, Debug)]
pub struct Caller(Arc<ManagementKey>);

impl Caller {
    /// The caller named by `headers`; 401 when there is no key or it is not known.
    pub fn identify(catalogue: &Catalogue, headers: &HeaderMap) -> Result<Self, Error> {
        let key = headers
            .get(HEADER)
            .ok_or(Error::Unauthorized("send a management key in the header Authentication-Key"))?;
        let known = key.to_str().ok().and_then(|key| catalogue.key_by_hash(&hash(key.trim())));
        known.cloned().map(Self).ok_or(Error::Unauthorized("this management key is not known"))
    }

    /// The number of the key, for the record of changes.
    #[must_use]
    pub fn key(&self) -> KeyId {
        self.0.id
    }

    /// Whether the key reaches an app.
    #[must_use]
    pub fn reaches(&self, app: AppId) -> bool {
        self.0.apps.is_empty() || self.0.apps.contains(&app)
    }

    /// May look at an app; 403 otherwise.
    pub fn may_read(&self, app: AppId) -> Result<(), Error> {
        if self.reaches(app) { Ok(()) } else { Err(Error::Forbidden("this key does not reach the app")) }
    }

    /// May change an app; 403 otherwise.
    pub fn may_write(&self, app: AppId) -> Result<(), Error> {
        self.may_read(app)?;
        if self.0.write { Ok(()) } else { Err(Error::Forbidden("this key may only read")) }
    }

    /// May see what belongs to no app: the whole account's; 403 otherwise.
    pub fn may_read_account(&self) -> Result<(), Error> {
        if self.0.apps.is_empty() {
            Ok(())
        } else {
            Err(Error::Forbidden("this key reaches single apps only"))
        }
    }

    /// May change what belongs to no app, such as the list of apps; 403 otherwise.
    pub fn may_write_account(&self) -> Result<(), Error> {
        self.may_read_account()?;
        if self.0.write { Ok(()) } else { Err(Error::Forbidden("this key may only read")) }
    }
}

impl FromRequestParts<Site> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Error> {
        Self::identify(&site.catalogue.current(), &parts.headers)
    }
}
