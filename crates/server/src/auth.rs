//! Who may use the management interface: the header `Authentication-Key` (DECISIONS 27, 34), and what the
//! role of a key's member opens (management-and-reporting.md sections 1 and 11).

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use measure::{
    AppId, KeyId,
    catalogue::{Access, Area, Catalogue},
};
use sha2::{Digest as _, Sha256};

use crate::{clock, error::Error, site::Site};

/// The header that carries the key.
pub const HEADER: &str = "authentication-key";

/// SHA-256 of a key: all that is stored of it, and all that look-ups compare.
#[must_use]
pub fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// What a request is about, by its path. What is not named here counts as [`Area::Analytics`].
fn area(path: &str) -> Area {
    if path.starts_with("/api/apps/") && path.contains("/devices/") {
        return Area::Conversions;
    }
    let mut parts = path.trim_start_matches('/').split('/');
    let mut part = || parts.next().unwrap_or_default();
    match (part(), part(), part()) {
        ("campaign" | "tier" | "tracker", ..) | ("api", "trackers" | "costs", _) => Area::Campaigns,
        ("postbacks", ..) | ("apps", _, "postbacks") | ("api", "triggers" | "deliveries" | "replays", _) => {
            Area::Postbacks
        }
        ("api", "members" | "keys" | "audit", _) => Area::Team,
        ("accounts", ..) => Area::Privacy,
        ("apps" | "networks" | "fraud", ..) | ("api", "blocklist", _) => Area::Setup,
        ("api", "apps", _) if is_of_sources(path) => Area::Setup,
        ("v1", "apps", _) | ("api", "inputs" | "installs" | "events", _) => Area::Conversions,
        ("api", "apps", _) => match part() {
            "events" => Area::Postbacks,
            // What single inputs were, also those that could not be used.
            "claims" | "health" | "influencers" | "quarantine" => Area::Conversions,
            _ => Area::Analytics,
        },
        _ => Area::Analytics,
    }
}

/// Whether a path is about the sources of an app: `/api/apps/{id}/sources…`.
fn is_of_sources(path: &str) -> bool {
    path.split('/').nth(4) == Some("sources")
}

/// The user of basic authentication; a password does not matter. `None` without one.
#[must_use]
pub fn basic_user(headers: &HeaderMap) -> Option<String> {
    use base64::Engine as _;
    let header = headers.get(axum::http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let user = String::from_utf8(decoded).ok()?;
    let user = user.split_once(':').map_or(user.as_str(), |(user, _)| user).trim();
    (!user.is_empty()).then(|| user.to_owned())
}

/// Whoever holds the key that a request came with, and what the request is about.
#[derive(Clone, Debug)]
pub struct Caller {
    key: KeyId,
    access: Access,
    area: Area,
}

impl Caller {
    /// The caller named by `headers`: 401 when there is no key or it is not known, 403 when its role does
    /// not open what `path` is about.
    pub fn identify(catalogue: &Catalogue, headers: &HeaderMap, path: &str) -> Result<Self, Error> {
        let key = headers
            .get(HEADER)
            .ok_or(Error::Unauthorized("send a management key in the header Authentication-Key"))?;
        let known = key.to_str().ok().and_then(|key| catalogue.key_by_hash(&hash(key.trim())));
        let known = known.and_then(|key| Some((key.id, catalogue.access(key)?)));
        let (key, access) = known.ok_or(Error::Unauthorized("this management key is not known"))?;
        let area = area(path);
        if !access.role.reads(area) {
            return Err(Error::Forbidden("the role of this key does not open this"));
        }
        Ok(Self { key, access, area })
    }

    /// The number of the key, for the record of changes.
    #[must_use]
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// Whether the key reaches an app.
    #[must_use]
    pub fn reaches(&self, app: AppId) -> bool {
        self.access.reaches(app)
    }

    /// May look at an app; 403 otherwise.
    pub fn may_read(&self, app: AppId) -> Result<(), Error> {
        if self.reaches(app) { Ok(()) } else { Err(Error::Forbidden("this key does not reach the app")) }
    }

    /// May change an app; 403 otherwise.
    pub fn may_write(&self, app: AppId) -> Result<(), Error> {
        self.may_read(app)?;
        if !self.access.write {
            return Err(Error::Forbidden("this key may only read"));
        }
        if !self.access.role.writes(self.area) {
            return Err(Error::Forbidden("the role of this key may only look at this"));
        }
        Ok(())
    }

    /// May see what belongs to no app: the whole account's; 403 otherwise.
    pub fn may_read_account(&self) -> Result<(), Error> {
        if self.access.apps.is_none() {
            Ok(())
        } else {
            Err(Error::Forbidden("this key reaches single apps only"))
        }
    }

    /// May change what belongs to no app, such as the list of apps; 403 otherwise.
    pub fn may_write_account(&self) -> Result<(), Error> {
        self.may_read_account()?;
        if !self.access.write {
            return Err(Error::Forbidden("this key may only read"));
        }
        if !self.access.is_whole() {
            return Err(Error::Forbidden("only an Account Admin may change this"));
        }
        Ok(())
    }
}

impl FromRequestParts<Site> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Error> {
        let caller = Self::identify(&site.catalogue.current(), &parts.headers, parts.uri.path())?;
        site.catalogue.note_use(caller.key, clock::now());
        Ok(caller)
    }
}

#[cfg(test)]
mod tests {
    use super::{Area, area};

    #[test]
    fn what_a_path_is_about() {
        for (path, expected) in [
            ("/apps", Area::Setup),
            ("/apps/1", Area::Setup),
            ("/networks/1001", Area::Setup),
            ("/fraud/blacklist/add", Area::Setup),
            ("/api/blocklist/import", Area::Setup),
            ("/campaign/1/delete/2", Area::Campaigns),
            ("/tier/1", Area::Campaigns),
            ("/tracker/override", Area::Campaigns),
            ("/api/trackers/1/links", Area::Campaigns),
            ("/api/costs", Area::Campaigns),
            ("/apps/1/postbacks", Area::Postbacks),
            ("/postbacks/1", Area::Postbacks),
            ("/api/deliveries", Area::Postbacks),
            ("/api/replays", Area::Postbacks),
            ("/api/replays/1", Area::Postbacks),
            ("/v1/apps/koshop-1/attribution/SX-1", Area::Conversions),
            ("/api/inputs/in_1", Area::Conversions),
            ("/api/apps/1/claims", Area::Conversions),
            ("/api/apps/1/influencers", Area::Conversions),
            ("/api/installs/ins_1/explain", Area::Conversions),
            ("/api/apps/1/devices/SX-1/explain", Area::Conversions),
            ("/api/events/in_1/explain", Area::Conversions),
            ("/api/apps/1/events", Area::Postbacks),
            ("/api/apps/1/quarantine", Area::Conversions),
            ("/api/apps/unknown/quarantine", Area::Conversions),
            ("/api/apps/1/health", Area::Conversions),
            ("/api/apps/1/what-if", Area::Analytics),
            ("/api/ledger", Area::Analytics),
            ("/api/apps/1/skad", Area::Analytics),
            ("/api/something-new", Area::Analytics),
            ("/accounts/1/privacy/scrub", Area::Privacy),
            ("/api/keys/1", Area::Team),
            ("/api/members", Area::Team),
            ("/api/audit", Area::Team),
        ] {
            assert_eq!(area(path), expected, "{path}");
        }
    }
}
