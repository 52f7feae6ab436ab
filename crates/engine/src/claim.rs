//! Claims of self-attributing networks: filed under the identifiers that they name, as engagements are, and
//! weighed with them (tracking-and-attribution.md section 12, DECISIONS 3).

use measure::{
    claim::Claim,
    engagement::Touch,
    fraud::noteworthy,
    input::{IdempotencyKey, Input, Outcome},
};
use store::StoreError;

use crate::machine::Turn;

/// What tells that a network claimed the same before: network, tracker, device and time, where the claim
/// has no number of its own; one with a number came once already.
pub(crate) fn sighting(claim: &Claim) -> IdempotencyKey {
    let key = format!("{}:{}:{:016x}", claim.kind.name(), claim.time.millis(), claim.content_key());
    IdempotencyKey { source: "claimed".to_owned(), key }
}

impl Turn<'_, '_> {
    pub(crate) fn claim(&mut self, input: &Input, claim: &Claim) -> Result<Vec<Outcome>, StoreError> {
        let id = input.id.into();
        let keys = claim.match_keys();
        let late_for = self.late_for(input, claim.time, &claim.identifiers, &keys)?;
        let duplicate = self.seen_before(input, || Some(sighting(claim)))?;
        let findings = self.look_at_claim(input, claim);
        let touch = Touch { findings: noteworthy(&findings), ..claim.touch(id, input.received) };
        if !late_for.is_empty() {
            self.view.add_claim(id, claim.clone());
        }
        self.file_touch(input, keys, &touch);
        self.remember_digest_lengths(input, &claim.identifiers)?;
        let mut outcomes = vec![Outcome::Touched { duplicate, suppressed: Vec::new(), findings }];
        for install in late_for {
            outcomes.extend(self.take_late(input, install)?);
        }
        Ok(outcomes)
    }
}
