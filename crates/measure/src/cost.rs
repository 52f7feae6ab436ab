//! What ads cost (management-and-reporting.md section 8): told by links (`bid_type`, `bid_won`) or by
//! uploaded rows, in US dollars, never converted, always as decimals.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::{
    AppId, CampaignId, InstallId, NetworkId, Timestamp,
    attribution::Source,
    engagement::{Engagement, EngagementKind},
    input::{Fact, Outcome, Payload},
    time::DAY_MS,
};

/// Rows of one app, network and day at most.
pub const COST_ROWS_MAX: usize = 10_000;

/// A day in UTC, counted from the epoch.
pub type Day = i64;

/// The day of a time.
#[must_use]
pub const fn day(time: Timestamp) -> Day {
    time.millis().div_euclid(DAY_MS)
}

/// What a network is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bid {
    /// Each install.
    Install,
    /// Each click.
    Click,
    /// A thousand impressions.
    Mille,
    /// Each action: which one, a link does not say, so it adds nothing.
    Action,
}

/// What the parameters of a link say about its price.
#[must_use]
pub fn bid(params: &[(String, String)]) -> Option<(Bid, Decimal)> {
    let last = |name: &str| params.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.trim());
    let kind = match last("bid_type")?.to_ascii_uppercase().as_str() {
        "CPI" => Bid::Install,
        "CPC" => Bid::Click,
        "CPM" => Bid::Mille,
        "CPA" => Bid::Action,
        _ => return None,
    };
    let amount: Decimal = last("bid_won")?.parse().ok()?;
    (!amount.is_sign_negative()).then_some((kind, amount))
}

/// One row of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostRow {
    /// The partner's number of the campaign.
    pub partner_campaign_id: Option<String>,
    /// The partner's name of the campaign.
    pub partner_campaign_name: Option<String>,
    /// The creative.
    pub creative_id: Option<String>,
    /// What it cost, US dollars.
    pub amount: Decimal,
}

/// What an upload says about one app, network and day. A later upload replaces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostDay {
    /// The app.
    pub app: AppId,
    /// The day.
    pub day: Day,
    /// The network that was paid.
    pub network: NetworkId,
    /// When it was uploaded.
    pub uploaded: Timestamp,
    /// The rows.
    pub rows: Vec<CostRow>,
}

impl CostDay {
    /// The sum of its rows.
    #[must_use]
    pub fn amount(&self) -> Decimal {
        self.rows.iter().fold(Decimal::ZERO, |sum, row| sum.saturating_add(row.amount))
    }
}

/// An upload as the history of changes keeps it: not its rows, but what they came to and what they replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostUpload {
    /// The app.
    pub app: AppId,
    /// The first day it speaks of.
    pub from: Day,
    /// The last day it speaks of.
    pub to: Day,
    /// The networks it speaks of.
    pub networks: Vec<NetworkId>,
    /// The number and the sum of the rows it replaced.
    pub before: (u64, Decimal),
    /// The number and the sum of its own.
    pub after: (u64, Decimal),
}

impl CostUpload {
    /// An upload of `days` for an app, of which `known` was said before about all of these days.
    #[must_use]
    pub fn of(app: AppId, days: &[CostDay], known: &[CostDay]) -> Self {
        let is_replaced =
            |old: &&CostDay| days.iter().any(|day| (day.day, day.network) == (old.day, old.network));
        let networks: BTreeSet<NetworkId> = days.iter().map(|day| day.network).collect();
        Self {
            app,
            from: days.iter().map(|day| day.day).min().unwrap_or_default(),
            to: days.iter().map(|day| day.day).max().unwrap_or_default(),
            networks: networks.into_iter().collect(),
            before: total(known.iter().filter(is_replaced)),
            after: total(days.iter()),
        }
    }
}

/// The number and the sum of rows.
fn total<'d>(days: impl Iterator<Item = &'d CostDay>) -> (u64, Decimal) {
    days.fold((0, Decimal::ZERO), |(rows, sum), day| {
        (rows + day.rows.len() as u64, sum.saturating_add(day.amount()))
    })
}

/// Where costs belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The day.
    pub day: Day,
    /// The app.
    pub app: AppId,
    /// The network.
    pub network: NetworkId,
    /// The campaign; `None` where no link told which one a row is about.
    pub campaign: Option<CampaignId>,
}

/// What something cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// As links told.
    pub links: Decimal,
    /// As uploads told.
    pub uploaded: Decimal,
}

impl std::ops::AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.links = self.links.saturating_add(other.links);
        self.uploaded = self.uploaded.saturating_add(other.uploaded);
    }
}

/// How a partner calls a campaign.
type Called = (AppId, NetworkId, String);

/// Sums costs over facts and uploads.
#[derive(Clone, Debug, Default)]
pub struct Costs {
    sums: BTreeMap<Place, Sum>,
    installs: HashMap<(AppId, InstallId), (Place, Decimal)>,
    by_id: HashMap<Called, CampaignId>,
    by_name: HashMap<Called, CampaignId>,
    by_creative: HashMap<Called, CampaignId>,
}

impl Costs {
    /// Takes a fact in: what its link cost, and how its partner calls the campaign.
    pub fn take(&mut self, fact: &Fact) {
        let (app, received) = (fact.input.app, fact.input.received);
        if let Payload::Engagement(engagement) = &fact.input.payload {
            self.learn(app, engagement);
            let repeated = matches!(fact.outcomes.first(), Some(Outcome::Touched { duplicate: true, .. }));
            if !repeated {
                self.engagement(app, received, engagement);
            }
        }
        for outcome in &fact.outcomes {
            if let Outcome::Installed { install, source, .. } | Outcome::Redecided { install, source, .. } =
                outcome
            {
                self.install(app, received, *install, source.as_ref());
            }
        }
    }

    fn learn(&mut self, app: AppId, engagement: &Engagement) {
        let called = |name: &str| (app, engagement.network, name.to_owned());
        for (key, value) in &engagement.params {
            match key.as_str() {
                "partner_campaign_id" => self.by_id.insert(called(value), engagement.campaign),
                "partner_campaign_name" => self.by_name.insert(called(value), engagement.campaign),
                _ => None,
            };
        }
        if let Some(creative) = &engagement.creative_id {
            self.by_creative.insert(called(creative), engagement.campaign);
        }
    }

    fn engagement(&mut self, app: AppId, received: Timestamp, engagement: &Engagement) {
        let price = match (bid(&engagement.params), engagement.kind) {
            (Some((Bid::Click, amount)), EngagementKind::Click) => amount,
            (Some((Bid::Mille, amount)), EngagementKind::Impression) => amount / Decimal::ONE_THOUSAND,
            _ => return,
        };
        let (network, campaign) = (engagement.network, Some(engagement.campaign));
        let place = Place { day: day(received), app, network, campaign };
        *self.sums.entry(place).or_default() += Sum { links: price, ..Sum::default() };
    }

    /// An install costs what the link of its winner says, on the day of the install. Decided again, it costs
    /// what the new winner's says.
    fn install(&mut self, app: AppId, received: Timestamp, install: InstallId, source: Option<&Source>) {
        let price = source.and_then(|source| match bid(&source.params) {
            Some((Bid::Install, amount)) => Some((source, amount)),
            _ => None,
        });
        let since = self.installs.get(&(app, install)).map_or(day(received), |(place, _)| place.day);
        match price {
            None => {
                self.installs.remove(&(app, install));
            }
            Some((source, amount)) => {
                let place = Place { day: since, app, network: source.network, campaign: source.campaign };
                self.installs.insert((app, install), (place, amount));
            }
        }
    }

    /// Takes an upload in. Its rows are joined by the partner's number of the campaign, else its name, else
    /// the creative, as links of the time had them; else by the name that the campaign has here.
    pub fn add(&mut self, upload: &CostDay, campaign_named: impl Fn(&str) -> Option<CampaignId>) {
        let CostDay { app, day, network, .. } = upload;
        for row in &upload.rows {
            let known = |names: &HashMap<Called, CampaignId>, name: &Option<String>| {
                names.get(&(*app, *network, name.clone()?)).copied()
            };
            let campaign = known(&self.by_id, &row.partner_campaign_id)
                .or_else(|| known(&self.by_name, &row.partner_campaign_name))
                .or_else(|| known(&self.by_creative, &row.creative_id))
                .or_else(|| campaign_named(row.partner_campaign_name.as_deref()?));
            let place = Place { day: *day, app: *app, network: *network, campaign };
            *self.sums.entry(place).or_default() += Sum { uploaded: row.amount, ..Sum::default() };
        }
    }

    /// Every place with what it cost.
    #[must_use]
    pub fn sums(&self) -> BTreeMap<Place, Sum> {
        let mut sums = self.sums.clone();
        for (place, amount) in self.installs.values() {
            *sums.entry(*place).or_default() += Sum { links: *amount, ..Sum::default() };
        }
        sums
    }
}
