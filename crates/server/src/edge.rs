//! The edge: where whatever can differ between two runs is resolved before anyone else sees a request:
//! who sent it, with what device, and its bytes.

mod address;
mod body;
mod databases;
#[cfg(test)]
mod tests;
mod user_agent;

use std::{net::IpAddr, sync::Arc};

use axum::http::HeaderMap;
use ipnet::IpNet;
use measure::{
    device::Origin,
    flag::{Flag, Flags},
    fraud::Rule,
    input::{Input, Payload},
    platform::Traits,
};
use tokio::sync::Semaphore;

use crate::config::Config;

pub use body::{Received, read_body, read_body_under};
pub use databases::{DatabaseError, Databases};
pub use user_agent::UserAgents;

/// Resolves requests.
pub struct Edge {
    trusted_proxies: Vec<IpNet>,
    user_agents: UserAgents,
    databases: Databases,
    /// One permit for each byte of a body under way.
    bodies: Arc<Semaphore>,
}

impl Edge {
    /// An edge as the settings want it.
    #[must_use]
    pub fn new(config: &Config, databases: Databases) -> Self {
        Self {
            trusted_proxies: config.server.trusted_proxies.clone(),
            user_agents: UserAgents::default(),
            databases,
            bodies: Arc::new(Semaphore::new(config.limits.bodies_in_flight as usize)),
        }
    }

    /// Loads the user agent rules, which takes about a second; the first look-up waits for it otherwise.
    pub fn warm_up(&self) {
        self.user_agents.warm_up();
    }

    /// The address of the device or server that sent a request, behind trusted proxies (DECISIONS 32).
    /// `peer` is the other end of the connection. `None` when a proxy names something that is no address.
    #[must_use]
    pub fn client_ip(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        address::client(peer, headers, &self.trusted_proxies)
    }

    /// The make of a device, from its user agent. Blocks for microseconds, and until the rules are loaded
    /// for the first call.
    #[must_use]
    pub fn traits_of(&self, user_agent: &str) -> Traits {
        self.user_agents.traits_of(user_agent)
    }

    /// Writes down what the databases say of the address of an input. The country is that of the address where
    /// the sender names none.
    pub fn locate(&self, input: &mut Input) {
        match &mut input.payload {
            Payload::Engagement(engagement) => {
                engagement.place = self.databases.place_of(engagement.user_ip());
            }
            Payload::Install(install) => {
                self.settle(&mut install.origin, &mut input.flags);
                install.origin.locality = self.databases.locality_of(install.origin.ip).map(Box::new);
            }
            Payload::Event(event) => self.settle(&mut event.origin, &mut input.flags),
            Payload::Update(_)
            | Payload::Link(_)
            | Payload::Aggregate(_)
            | Payload::Ignored(_)
            | Payload::Claim(_) => {}
        }
    }

    fn settle(&self, origin: &mut Origin, flags: &mut Flags) {
        origin.place = self.databases.place_of(origin.ip);
        if let (None, Some(country)) = (&origin.country, origin.place.country) {
            origin.country = Some(country.to_string());
            flags.insert(Flag::CountryFromDatabase);
        }
    }

    /// Whether a fraud rule needs a database that there is not.
    #[must_use]
    pub const fn lacks_database(&self, rule: Rule) -> bool {
        match rule {
            Rule::GeoMismatch => !self.databases.has_countries(),
            Rule::AnonymousNetwork => !self.databases.has_anonymous(),
            _ => false,
        }
    }
}

#[cfg(test)]
impl Edge {
    /// Takes all that bodies may take, as many large ones would.
    pub fn hold_bodies(&self) -> tokio::sync::OwnedSemaphorePermit {
        let all = u32::try_from(self.bodies.available_permits()).unwrap();
        self.bodies.clone().try_acquire_many_owned(all).unwrap()
    }
}
