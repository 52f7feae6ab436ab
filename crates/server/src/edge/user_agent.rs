//! From a user agent to the make of a device, by the rules of uap-core. `build.rs` takes them from the
//! package of the `ua-parser` crate.

use std::sync::{Arc, LazyLock};

use measure::platform::{Os, Traits, is_amazon, says_nothing};
use moka::sync::Cache;
use serde::Deserialize;
use ua_parser::{device, os};

/// User agents remembered: 10,000 take some megabytes.
const CACHED: u64 = 10_000;
/// Longer user agents are not looked at: nobody writes them, and rules take time on them.
const LENGTH_MAX: usize = 2_048;

static RULES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/user_agents.json"));

#[derive(Deserialize)]
struct Lists {
    os_parsers: Vec<os::Parser<'static>>,
    device_parsers: Vec<device::Parser<'static>>,
}

struct Rules {
    os: os::Extractor<'static>,
    device: device::Extractor<'static>,
}

impl Rules {
    /// The embedded rules; `None` if they cannot be used, which a test rules out.
    fn load() -> Option<Self> {
        let lists: Lists = serde_json::from_slice(RULES).ok()?;
        let os = os::Builder::new().push_all(lists.os_parsers).ok()?.build().ok()?;
        let device = device::Builder::new().push_all(lists.device_parsers).ok()?.build().ok()?;
        Some(Self { os, device })
    }
}

/// Looks user agents up, with a memory of recent ones.
pub struct UserAgents {
    rules: LazyLock<Option<Rules>>,
    recent: Cache<String, Arc<Traits>>,
}

impl Default for UserAgents {
    fn default() -> Self {
        Self { rules: LazyLock::new(Rules::load), recent: Cache::new(CACHED) }
    }
}

impl UserAgents {
    /// Loads the rules if that has not happened yet.
    pub fn warm_up(&self) {
        let _rules = LazyLock::force(&self.rules);
    }

    /// The make of the device; what the user agent does not tell is unknown.
    #[must_use]
    pub fn traits_of(&self, user_agent: &str) -> Traits {
        let user_agent = user_agent.trim();
        if user_agent.is_empty() || user_agent.len() > LENGTH_MAX {
            return Traits::default();
        }
        if let Some(known) = self.recent.get(user_agent) {
            return Traits::clone(&known);
        }
        let traits = self.rules.as_ref().map_or_else(Traits::default, |rules| rules.traits(user_agent));
        self.recent.insert(user_agent.to_owned(), Arc::new(traits.clone()));
        traits
    }
}

impl Rules {
    fn traits(&self, user_agent: &str) -> Traits {
        if let Some(traits) = roku(user_agent) {
            return traits;
        }
        let found = self.os.extract(user_agent);
        let unlisted = unlisted(user_agent);
        let is_listed = unlisted.is_none();
        let os = unlisted.or_else(|| Os::named(&found.as_ref()?.os));
        let comment = commented(user_agent);
        if is_listed && let Some(model) = amazon(user_agent, os.as_ref()) {
            // The version of Android is none of Fire OS.
            let told = comment.filter(|(os, _)| *os == Os::FireOs);
            let os_version = told.and_then(|(_, version)| version).map(str::to_owned);
            return Traits { os: Some(Os::FireOs), os_version, model };
        }
        if os.is_none()
            && let Some((os, version)) = comment
        {
            let os_version = version.map(str::to_owned);
            return Traits { os: Some(os), os_version, model: self.model(user_agent) };
        }
        if is_reduced(user_agent) {
            return Traits { os, os_version: None, model: None };
        }
        let os_version = found.filter(|_| is_listed).and_then(|found| {
            let parts = [found.major, found.minor, found.patch];
            let parts: Vec<_> = parts.into_iter().map_while(|part| part).collect();
            (!parts.is_empty()).then(|| parts.join("."))
        });
        Traits { os, os_version, model: self.model(user_agent) }
    }

    fn model(&self, user_agent: &str) -> Option<String> {
        let found = self.device.extract(user_agent)?.model?;
        let model = found.trim();
        (!says_nothing(model)).then(|| model.to_owned())
    }
}

/// Families that the rules do not know or take for another, by the words of their user agents.
fn unlisted(user_agent: &str) -> Option<Os> {
    const WORDS: [&str; 4] = ["nintendo switch", "openharmony", "playstation", "vizio smartcast"];
    let user_agent = user_agent.to_ascii_lowercase();
    if user_agent.contains("cfnetwork/") && user_agent.ends_with("(x86_64)") {
        // An app on a Mac with a processor that no iPhone has; the rules stop at one version.
        return Os::named("macos");
    }
    WORDS.into_iter().find(|word| user_agent.contains(word)).and_then(Os::named)
}

/// A player of Roku's: the rules know those that leave out their model. The remote control on a telephone is
/// called Roku, too, and is none.
fn roku(user_agent: &str) -> Option<Traits> {
    let (version, model) = if let Some((before, behind)) = user_agent.split_once(" (Roku, ") {
        // `… Roku 3/7.0 (Roku, 4200X, Wireless)`
        (before.rsplit_once('/')?.1, behind.split([',', ')']).next()?)
    } else {
        // `Roku4640X/DVP-7.70 (297.70E04154A)`
        let (model, behind) = user_agent.strip_prefix("Roku")?.split_once("/DVP-")?;
        (behind, model)
    };
    let version =
        version.split(|c: char| !c.is_ascii_digit() && c != '.').next().filter(|part| !part.is_empty());
    let model = Some(model.trim()).filter(|model| !model.is_empty());
    Some(Traits {
        os: Os::named("roku"),
        os_version: version.map(str::to_owned),
        model: model.map(str::to_owned),
    })
}

/// What an app says in brackets, where the rules know nothing: `Shop/3.4 (com.example.shop; macOS 14.4.1)`.
fn commented(user_agent: &str) -> Option<(Os, Option<&str>)> {
    let (comment, _) = user_agent.split_once('(')?.1.split_once(')')?;
    comment.split(';').map(str::trim).find_map(|part| {
        let versioned = part.rsplit_once([' ', '/']).filter(|(_, version)| {
            version.starts_with(|c: char| c.is_ascii_digit())
                && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        });
        let (name, version) = versioned.map_or((part, None), |(name, version)| (name, Some(version)));
        Some((Os::named(name).filter(Os::is_known)?, version))
    })
}

/// The model, where it is told, of a device of Amazon's: the rules know its name but not its system. The words
/// for it stand behind the name of the app, which may be any word.
fn amazon(user_agent: &str, os: Option<&Os>) -> Option<Option<String>> {
    let (_, told) = user_agent.split_once('(')?;
    let mut words = told.split(|c: char| !c.is_ascii_alphanumeric());
    let is_code = |word: &&str| *word == word.to_ascii_uppercase() && is_amazon(word);
    let model = match os {
        None | Some(Os::Android) => words.clone().find(is_code).map(str::to_owned),
        _ => None,
    };
    (model.is_some() || words.any(|word| word == "Silk")).then_some(model)
}

/// Chrome on Android says `Android 10; K` whatever the device is.
fn is_reduced(user_agent: &str) -> bool {
    user_agent.contains("(Linux; Android 10; K)")
}
