//! The second half of a commit: batches that are written are synced, and their senders answered. One sync
//! covers every batch written before it began, since the journal has one order.

use std::{panic::resume_unwind, sync::mpsc::Receiver, thread::JoinHandle};

use store::Store;

use crate::{Answer, Reply, machine::Done};

/// A batch that is decided and written, if anything of it was to be written, and not yet synced.
pub(crate) struct Written {
    /// What will be answered.
    pub done: Done,
    /// To whom, request by request.
    pub replies: Vec<Reply>,
}

impl Written {
    fn answer(self) {
        for (reply, answers) in self.replies.into_iter().zip(self.done.answers) {
            // A sender that has gone does not undo what is on record.
            let _gone = reply.send(answers);
        }
    }

    /// Promises nothing, whatever was going to be answered.
    pub(crate) fn refuse(self) {
        for (reply, answers) in self.replies.into_iter().zip(self.done.answers) {
            let _gone = reply.send(vec![Answer::Unavailable; answers.len()]);
        }
    }
}

/// Syncs and answers until the writing thread has ended, or until a sync fails: then nobody is told of a
/// success any more, and the writing thread ends with its next batch.
pub(crate) fn run(
    store: &dyn Store,
    to_sync: &Receiver<Written>,
    writer: JoinHandle<()>,
    committed: &impl Fn(),
) {
    while let Ok(first) = to_sync.recv() {
        let mut batches = vec![first];
        batches.extend(to_sync.try_iter());
        if let Err(error) = store.sync() {
            tracing::error!(%error, "what was written could not be synced");
            batches.into_iter().chain(to_sync.try_iter()).for_each(Written::refuse);
            return;
        }
        if batches.iter().any(|batch| batch.done.created_deliveries) {
            committed();
        }
        batches.into_iter().for_each(Written::answer);
    }
    if let Err(panic) = writer.join() {
        resume_unwind(panic);
    }
}
