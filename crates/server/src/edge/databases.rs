//! Databases of addresses in the MaxMind format: which country an address is in, and whether it hides who is
//! behind it.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::IpAddr,
    path::Path,
};

use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use measure::place::{Country, Locality, Place};
use serde::{Deserialize, Deserializer};
use thiserror::Error;

use crate::config::{Asn, Geo};

/// Networks looked at to see what a database is about.
const SAMPLE: usize = 1_000;

/// Why a database cannot be used.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// The file cannot be read.
    #[error("{setting}: {path} cannot be read: {source}")]
    Read {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// It is no such database.
    #[error("{setting}: {path} is not a database in the MaxMind format: {source}")]
    Format {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: String,
        /// What is wrong with it.
        source: MaxMindDbError,
    },
    /// It is about something else.
    #[error("{setting}: {path} {what}")]
    Useless {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: String,
        /// What it lacks.
        what: &'static str,
    },
}

/// A database with the setting and the file that it is from.
struct Source {
    setting: &'static str,
    path: String,
    reader: Reader<Vec<u8>>,
}

impl Source {
    fn open(setting: &'static str, file: &Path) -> Result<Self, DatabaseError> {
        let path = file.display().to_string();
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(source) => return Err(DatabaseError::Read { setting, path, source }),
        };
        match Reader::from_source(bytes) {
            Ok(reader) => Ok(Self { setting, path, reader }),
            Err(source) => Err(DatabaseError::Format { setting, path, source }),
        }
    }

    /// The record of an address; `None` when there is none, or none that can be read.
    fn find<'d, T: Deserialize<'d>>(&'d self, ip: IpAddr) -> Option<T> {
        self.reader.lookup(ip.to_canonical()).ok()?.decode().ok()?
    }

    /// Whether one of the first networks has a record of which this is true.
    fn any<'d, T: Deserialize<'d>>(&'d self, is: impl Fn(&T) -> bool) -> bool {
        let networks = self.reader.networks(WithinOptions::default()).into_iter().flatten();
        let records = networks.take(SAMPLE).filter_map(|network| network.ok()?.decode().ok()?);
        records.into_iter().any(|record| is(&record))
    }

    fn useless(self, what: &'static str) -> DatabaseError {
        DatabaseError::Useless { setting: self.setting, path: self.path, what }
    }
}

/// What is looked up when a click or an install comes in.
#[derive(Default)]
pub struct Databases {
    countries: Option<Source>,
    /// Whether the database of countries tells cities as well.
    has_cities: bool,
    anonymous: Option<Source>,
    /// AS numbers whose addresses count as anonymous.
    asns: BTreeSet<Asn>,
}

impl Databases {
    /// The databases that the settings name, read into memory.
    ///
    /// # Errors
    /// One cannot be read, or does not tell what it is wanted for.
    pub fn open(geo: &Geo) -> Result<Self, DatabaseError> {
        let open = |setting, file: &Option<_>| {
            file.as_ref().map(|file: &std::path::PathBuf| Source::open(setting, file)).transpose()
        };
        let countries = open("geo.country_database", &geo.country_database)?;
        if let Some(source) = countries.as_ref().filter(|source| !source.any(CountryRecord::has_country)) {
            let (setting, path) = (source.setting, source.path.clone());
            return Err(DatabaseError::Useless { setting, path, what: "tells no countries" });
        }
        let asns: BTreeSet<Asn> = geo.anonymous_asns.iter().copied().collect();
        let anonymous = match open("geo.anonymous_database", &geo.anonymous_database)? {
            Some(source) if source.any(NetworkRecord::is_anonymous) => Some(source),
            Some(source) if !source.any(NetworkRecord::has_asn) => {
                return Err(source.useless("tells neither anonymous networks nor AS numbers"));
            }
            Some(source) if asns.is_empty() => {
                return Err(source.useless(
                    "tells AS numbers only: say in geo.anonymous_asns which of them hide who is behind them",
                ));
            }
            source => source,
        };
        let has_cities = countries.as_ref().is_some_and(|source| source.any(CityRecord::has_city));
        Ok(Self { countries, has_cities, anonymous, asns })
    }

    /// Whether there is one of countries.
    pub const fn has_countries(&self) -> bool {
        self.countries.is_some()
    }

    /// Whether there is one of anonymous networks.
    pub const fn has_anonymous(&self) -> bool {
        self.anonymous.is_some()
    }

    /// What they say of an address.
    pub fn place_of(&self, ip: Option<IpAddr>) -> Place {
        Place {
            has_countries: self.has_countries(),
            country: self.countries.as_ref().and_then(|source| source.find::<CountryRecord>(ip?)?.country()),
            anonymous: self.anonymous.as_ref().and_then(|source| {
                // What the database does not list hides nobody.
                let record = source.find::<NetworkRecord>(ip?).unwrap_or_default();
                Some(record.is_anonymous() || record.asn.is_some_and(|asn| self.asns.contains(&asn)))
            }),
        }
    }

    /// Where in its country an address is; `None` when no database tells.
    pub fn locality_of(&self, ip: Option<IpAddr>) -> Option<Locality> {
        let source = self.countries.as_ref().filter(|_| self.has_cities)?;
        // Names in what it does not list are as good as none.
        Some(ip.and_then(|ip| source.find::<CityRecord>(ip)).map(Locality::from).unwrap_or_default())
    }
}

/// A record of a country or city, as MaxMind and others write it.
#[derive(Deserialize)]
struct CountryRecord {
    #[serde(default)]
    country: Option<CountryPart>,
    #[serde(default)]
    country_code: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum CountryPart {
    Object {
        #[serde(default)]
        iso_code: Option<String>,
    },
    Code(String),
}

impl CountryRecord {
    fn country(&self) -> Option<Country> {
        let part = match &self.country {
            Some(CountryPart::Object { iso_code }) => iso_code.as_deref(),
            Some(CountryPart::Code(code)) => Some(code.as_str()),
            None => None,
        };
        part.and_then(Country::named).or_else(|| Country::named(self.country_code.as_deref()?))
    }

    fn has_country(&self) -> bool {
        self.country().is_some()
    }
}

/// What a record of a city tells beside its country: as MaxMind writes it, or with plain texts as others do.
#[derive(Default, Deserialize)]
#[serde(default)]
struct CityRecord {
    city: Option<Named>,
    subdivisions: Vec<Named>,
    #[serde(alias = "state", alias = "state1")]
    region: Option<Named>,
    region_code: Option<Named>,
    #[serde(alias = "postal_code", alias = "postcode")]
    postal: Option<Named>,
    location: Option<Location>,
}

/// Something with a name or a code, or both.
#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Text(String),
    Thing {
        #[serde(default, alias = "iso_code")]
        code: Option<String>,
        #[serde(default)]
        names: BTreeMap<String, String>,
    },
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Location {
    metro_code: Option<Code>,
}

/// A number, however long it is stored, or a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Code {
    Number(u64),
    Text(String),
}

impl Code {
    fn into_text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

impl Named {
    /// What it is called, its code first and then its English name.
    fn texts(self) -> Vec<String> {
        let texts = match self {
            Self::Text(text) => vec![text],
            Self::Thing { code, mut names } => code.into_iter().chain(names.remove("en")).collect(),
        };
        texts.into_iter().filter(|text| !text.is_empty()).collect()
    }
}

impl CityRecord {
    const fn has_city(&self) -> bool {
        self.city.is_some()
    }
}

impl From<CityRecord> for Locality {
    fn from(record: CityRecord) -> Self {
        let one = |named: Option<Named>| named.into_iter().flat_map(Named::texts).next_back();
        let regions = record.subdivisions.into_iter().take(1).chain(record.region_code).chain(record.region);
        Self {
            city: one(record.city),
            regions: regions.flat_map(Named::texts).collect(),
            postal: one(record.postal),
            dma: record.location.and_then(|location| location.metro_code).map(Code::into_text),
        }
    }
}

/// A record of a network: what MaxMind and others tell about who may be behind it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct NetworkRecord {
    is_anonymous: Told,
    is_anonymous_vpn: Told,
    is_hosting_provider: Told,
    is_public_proxy: Told,
    is_residential_proxy: Told,
    is_tor_exit_node: Told,
    vpn: Told,
    proxy: Told,
    tor: Told,
    relay: Told,
    hosting: Told,
    #[serde(alias = "autonomous_system_number")]
    asn: Option<Asn>,
}

impl NetworkRecord {
    fn is_anonymous(&self) -> bool {
        [
            &self.is_anonymous,
            &self.is_anonymous_vpn,
            &self.is_hosting_provider,
            &self.is_public_proxy,
            &self.is_residential_proxy,
            &self.is_tor_exit_node,
            &self.vpn,
            &self.proxy,
            &self.tor,
            &self.relay,
            &self.hosting,
        ]
        .iter()
        .any(|told| told.0)
    }

    const fn has_asn(&self) -> bool {
        self.asn.is_some()
    }
}

/// A truth, written as one or as a text.
#[derive(Default)]
struct Told(bool);

impl<'de> Deserialize<'de> for Told {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Truth(bool),
            Text(String),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Truth(truth) => truth,
            Written::Text(text) => text.eq_ignore_ascii_case("true"),
        }))
    }
}
