//! Who works with the account: members, their roles, and what a management key may do
//! (management-and-reporting.md sections 1, 11 and 13).

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::{Catalogue, ManagementKey};
use crate::{AppId, MemberId, Timestamp};

/// What a request is about: the part of the interface that a role opens or closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Apps, networks, the blocklist.
    Setup,
    /// Campaigns, segments, trackers, costs.
    Campaigns,
    /// Triggers, event names and deliveries.
    Postbacks,
    /// Single installs and inputs: where they came from and why.
    Conversions,
    /// Everything that counts: the ledger, reports.
    Analytics,
    /// Privacy requests and what they find.
    Privacy,
    /// Members, keys, the audit log.
    Team,
}

/// The roles of the incumbent (section 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Everything.
    AccountAdmin,
    /// Everything about apps, but for the team and what belongs to no app.
    AppAdmin,
    /// Changes campaigns, segments, trackers and costs.
    CampaignAdmin,
    /// Reads everything but privacy requests and the team.
    AnalystUser,
    /// Reads what counts.
    ViewAnalytics,
    /// Reads triggers and deliveries.
    ViewPostbacks,
    /// Reads single installs; for publishers.
    ViewConversions,
    /// Reads everything but privacy requests and the team.
    ReadOnly,
    /// Reads what counts and makes reports.
    ReportingGenerationAccess,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 9] = [
        Self::AccountAdmin,
        Self::AppAdmin,
        Self::CampaignAdmin,
        Self::AnalystUser,
        Self::ViewAnalytics,
        Self::ViewPostbacks,
        Self::ViewConversions,
        Self::ReadOnly,
        Self::ReportingGenerationAccess,
    ];

    /// The name as the incumbent writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccountAdmin => "Account Admin",
            Self::AppAdmin => "App Admin",
            Self::CampaignAdmin => "Campaign Admin",
            Self::AnalystUser => "Analyst User",
            Self::ViewAnalytics => "View Analytics",
            Self::ViewPostbacks => "View Postbacks",
            Self::ViewConversions => "View Conversions",
            Self::ReadOnly => "Read Only",
            Self::ReportingGenerationAccess => "Reporting Generation Access",
        }
    }

    /// The role of that name, however its letters are cased.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name().eq_ignore_ascii_case(name.trim()))
    }

    /// Whether the role may look at an area. Everybody may see which apps and networks there are.
    #[must_use]
    pub const fn reads(self, area: Area) -> bool {
        use Area::{Analytics, Campaigns, Conversions, Postbacks, Privacy, Setup, Team};
        match (self, area) {
            (Self::AccountAdmin, _) | (_, Setup) => true,
            (Self::AppAdmin, area) => !matches!(area, Team),
            (Self::CampaignAdmin | Self::AnalystUser | Self::ReadOnly, area) => {
                !matches!(area, Team | Privacy)
            }
            (Self::ViewAnalytics | Self::ReportingGenerationAccess, area) => {
                matches!(area, Analytics | Campaigns)
            }
            (Self::ViewPostbacks, area) => matches!(area, Postbacks),
            (Self::ViewConversions, area) => matches!(area, Conversions),
        }
    }

    /// Whether the role may change what belongs to an area.
    #[must_use]
    pub const fn writes(self, area: Area) -> bool {
        match self {
            Self::AccountAdmin => true,
            Self::AppAdmin => !matches!(area, Area::Team),
            Self::CampaignAdmin => matches!(area, Area::Campaigns),
            Self::ReportingGenerationAccess => matches!(area, Area::Analytics),
            Self::AnalystUser
            | Self::ViewAnalytics
            | Self::ViewPostbacks
            | Self::ViewConversions
            | Self::ReadOnly => false,
        }
    }
}

/// Somebody who works with the account. Members hold keys; a key can do no more than its member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its number.
    pub id: MemberId,
    /// Its name.
    pub name: String,
    /// How to reach it; a label, nothing is sent there. May be empty.
    pub email: String,
    /// What it may do.
    pub role: Role,
    /// The apps it may do that with; empty means the whole account.
    pub apps: Vec<AppId>,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it was removed; its keys are withdrawn with it.
    pub deleted: bool,
}

/// What a key opens: the key's own scope, cut down to that of its member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The role; a key without a member has the widest.
    pub role: Role,
    /// The apps it reaches; `None` is the whole account.
    pub apps: Option<Vec<AppId>>,
    /// Whether it may change things at all.
    pub write: bool,
}

impl Access {
    /// Whether it reaches an app.
    #[must_use]
    pub fn reaches(&self, app: AppId) -> bool {
        self.apps.as_ref().is_none_or(|apps| apps.contains(&app))
    }

    /// Whether it may do everything: change the account, its members and keys.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.write && self.apps.is_none() && self.role == Role::AccountAdmin
    }
}

impl Catalogue {
    /// What a key opens; `None` once it was withdrawn or its member removed.
    #[must_use]
    pub fn access(&self, key: &ManagementKey) -> Option<Access> {
        let member = match key.member {
            Some(id) => Some(self.member(id).filter(|member| !member.deleted)?),
            None => None,
        };
        let of_member = member.map(|member| &member.apps).filter(|apps| !apps.is_empty());
        let of_key = Some(&key.apps).filter(|apps| !apps.is_empty());
        let apps = match (of_key, of_member) {
            (Some(own), Some(most)) => Some(own.iter().copied().filter(|app| most.contains(app)).collect()),
            (Some(apps), None) | (None, Some(apps)) => Some(apps.clone()),
            (None, None) => None,
        };
        let role = member.map_or(Role::AccountAdmin, |member| member.role);
        (!key.revoked).then_some(Access { role, apps, write: key.write })
    }

    /// Whether somebody is left who may do everything: without, nobody could make a key again.
    #[must_use]
    pub fn has_whole_key(&self) -> bool {
        self.keys().any(|key| self.access(key).is_some_and(|access| access.is_whole()))
    }
}
