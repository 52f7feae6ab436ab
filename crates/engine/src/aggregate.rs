//! Aggregate postbacks: counted once for each transaction and window, apart from every install
//! (tracking-and-attribution.md section 15).

use measure::{
    input::{Input, Outcome},
    ledger::{Counter, count},
    skad::AggregatePostback,
};
use store::StoreError;

use crate::machine::Turn;

impl Turn<'_, '_> {
    pub(crate) fn aggregate(
        &mut self,
        input: &Input,
        postback: &AggregatePostback,
    ) -> Result<Vec<Outcome>, StoreError> {
        let key = postback.key();
        let duplicate = self.view.counted(input.app, key)?;
        let sequence = self.view.sequence();
        let counter = if duplicate {
            Counter::AggregatesRepeated
        } else {
            self.view.put_counted(input.app, key);
            Counter::Aggregates(postback.cell())
        };
        let batch = self.view.batch();
        batch.aggregates.push((input.app, sequence));
        count(&mut batch.tally, Some(input.app), counter, 1);
        Ok(vec![Outcome::Counted { duplicate }])
    }
}
