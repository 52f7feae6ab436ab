//! On what an engagement and an install belong together
//! (tracking-and-attribution.md sections 5, 7, 10; DECISIONS 17 to 19).

use std::collections::{BTreeSet, HashMap};

use crate::{
    attribution::{Basis, LosingReason},
    engagement::{EngagementKind, IpKey, LinkIdentifier, Touch},
    identifier::{Digest, Form, IdKind, Identifier, forms},
    install::{ClickReferenceKind, Install},
    platform::{Os, Versions},
    policy::{DeviceAttribution, Ladder, Policy},
};

/// From which iOS version on App Tracking Transparency has to be asked for.
const ATT_SINCE: u32 = 14;

/// The place of a class in the ladder of section 5; 1 is best. A modeled click inside the equalizer is as
/// good as a certain one; the app may let impressions with a device identifier go before modeled clicks.
pub(super) const fn rank(kind: EngagementKind, basis: &Basis, age_ms: i64, ladder: &Ladder) -> u8 {
    let place = match (kind, basis) {
        (EngagementKind::Click, Basis::Modeled) if ladder.equalizer.covers(age_ms) => 1,
        (EngagementKind::Click, Basis::Modeled) => 2,
        (EngagementKind::Click, Basis::Ip) => 3,
        (EngagementKind::Click, Basis::PartialIp) => 4,
        (EngagementKind::Click, _) => 1,
        (EngagementKind::Impression, Basis::Modeled) => 6,
        (EngagementKind::Impression, Basis::Ip) => 7,
        (EngagementKind::Impression, Basis::PartialIp) => 8,
        (EngagementKind::Impression, _) => 5,
    };
    match place {
        5 if ladder.device_impressions_first => 2,
        2..=4 if ladder.device_impressions_first => place + 1,
        place => place,
    }
}

/// An install as engagements are compared with it.
pub(super) struct Matcher<'a> {
    install: &'a Install,
    /// Its identifiers with their canonical values.
    identifiers: Vec<(&'a Identifier, String)>,
    /// Its identifiers by every digest that the engagements at hand could carry.
    digests: HashMap<Digest, (&'a Identifier, Form)>,
    ip: Option<IpKey>,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(install: &'a Install, touches: &[Touch]) -> Self {
        let lengths: BTreeSet<_> = touches
            .iter()
            .flat_map(|touch| &touch.identifiers)
            .filter_map(|identifier| match identifier {
                LinkIdentifier::Plain(_) => None,
                LinkIdentifier::Hashed(_, digest) => Some(digest.length()),
            })
            .collect();
        let mut digests = HashMap::new();
        for identifier in &install.origin.identifiers {
            for &length in &lengths {
                for (form, digest) in forms(&identifier.value, length) {
                    digests.entry(digest).or_insert((identifier, form));
                }
            }
        }
        Self {
            install,
            identifiers: install.origin.identifiers.iter().map(|id| (id, id.canonical())).collect(),
            digests,
            ip: install.origin.ip.map(IpKey::from),
        }
    }

    /// Everything on which a touch matches, the best first. The flag says that an identifier was hashed
    /// twice.
    pub(super) fn bases(&self, touch: &Touch) -> Vec<(Basis, bool)> {
        if touch.claim.is_some() {
            return self.claimed(touch).into_iter().collect();
        }
        let certain = self.same_identifier(touch).or_else(|| Some((self.named_click(touch)?, false)));
        let whole = self.same_address(touch);
        let partial = self.same_range(touch);
        let likely = [(whole, Basis::Modeled), (whole, Basis::Ip), (partial, Basis::PartialIp)];
        let likely = likely.into_iter().filter(|(is, _)| *is).map(|(_, basis)| (basis, false));
        certain.into_iter().chain(likely).collect()
    }

    /// What stands against a match on `basis`, whenever it happened.
    pub(super) fn obstacle(
        &self,
        touch: &Touch,
        basis: &Basis,
        policy: &Policy,
        versions: Versions,
    ) -> Option<LosingReason> {
        if basis.is_deterministic() {
            return None;
        }
        let traits = &self.install.origin.traits;
        if self.shares_a_kind(touch) && self.same_identifier(touch).is_none() {
            Some(LosingReason::IdentifierMismatch)
        } else if *basis == Basis::Modeled && !traits.resembles(&touch.traits, versions) {
            Some(LosingReason::PlatformMismatch)
        } else if !touch.identifiers.is_empty()
            && policy.ladder.device_attribution == DeviceAttribution::Standard
        {
            Some(LosingReason::CarriedIdentifier)
        } else if !policy.modeled_without_att && self.lacks_att() {
            Some(LosingReason::AttNoConsent)
        } else if !policy.ladder.limit_ad_tracking_fallback && self.lacks_idfa() {
            Some(LosingReason::AttNoIdfa)
        } else {
            None
        }
    }

    /// Whether the device had to ask for tracking and the user did not allow it (DECISIONS 17). An unknown
    /// version counts as one that has to ask, as for the IDFA.
    pub(super) fn lacks_att(&self) -> bool {
        let origin = &self.install.origin;
        origin.traits.os.as_ref().is_some_and(|os| os.is_apple_mobile())
            && origin.traits.os_major().is_none_or(|major| major >= ATT_SINCE)
            && origin.consent.att.flag != Some(true)
    }

    /// Whether an Apple device tells no IDFA.
    fn lacks_idfa(&self) -> bool {
        let apple = self.install.origin.traits.os.as_ref().is_some_and(Os::is_apple_mobile);
        apple && !self.identifiers.iter().any(|(identifier, _)| identifier.kind == IdKind::Idfa)
    }

    /// The identifier that both have: a plain one before a hashed one, a single hash before a double one,
    /// then in the order of look-ups.
    fn same_identifier(&self, touch: &Touch) -> Option<(Basis, bool)> {
        let found = touch.identifiers.iter().filter_map(|identifier| match identifier {
            LinkIdentifier::Plain(plain) => {
                let canonical = plain.canonical();
                self.identifiers
                    .iter()
                    .find(|(own, value)| own.kind == plain.kind && *value == canonical)
                    .map(|(own, _)| (*own, None))
            }
            // A digest proves itself, whatever kind the link says it is.
            LinkIdentifier::Hashed(_, digest) => {
                self.digests.get(digest).map(|(own, form)| (*own, Some(*form)))
            }
        });
        let best = found.min_by_key(|(own, form)| {
            (form.is_some_and(|form| form.is_double()), *form, own.kind.lookup_rank(), own.kind.clone())
        });
        best.map(|(own, form)| {
            let kind = own.kind.name().to_owned();
            let double = form.is_some_and(|form| form.is_double());
            (Basis::Identifier { kind, form: form.map(|form| form.to_string()) }, double)
        })
    }

    /// A claim of the device: its identifiers are all that a network may claim by.
    fn claimed(&self, touch: &Touch) -> Option<(Basis, bool)> {
        match self.same_identifier(touch)? {
            (Basis::Identifier { kind, form }, double) => Some((Basis::Claim { kind, form }, double)),
            other => Some(other),
        }
    }

    /// The click whose id the install brought back.
    fn named_click(&self, touch: &Touch) -> Option<Basis> {
        let reference = self.install.click.as_ref().filter(|click| click.touch == Some(touch.id))?;
        (touch.kind == EngagementKind::Click).then_some(match reference.kind {
            ClickReferenceKind::InstallReferrer => Basis::InstallReferrer,
            ClickReferenceKind::LandingPage => Basis::LandingPage,
        })
    }

    fn same_address(&self, touch: &Touch) -> bool {
        self.ip.is_some() && self.ip == touch.ip
    }

    fn same_range(&self, touch: &Touch) -> bool {
        let range = self.ip.and_then(IpKey::range);
        range.is_some() && range == touch.ip.and_then(IpKey::range)
    }

    fn shares_a_kind(&self, touch: &Touch) -> bool {
        let own = |kind: &IdKind| self.identifiers.iter().any(|(identifier, _)| identifier.kind == *kind);
        touch.identifiers.iter().any(|identifier| own(identifier.kind()))
    }
}
