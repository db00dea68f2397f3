//! Asks the committer for terms, changes of the map and beats, one after the other, so that the
//! runner need not wait for it.

use greenroom_actors::cluster::change::Change;
use greenroom_actors::cluster::membership::{ChangeId, Outcome};
use greenroom_actors::cluster::registry::Note;
use greenroom_actors::journal::Journal;
use tokio::sync::mpsc;

use super::report::Report;

/// Controls that wait. There is one change at a time; a beat that finds no room is not needed.
const CONTROLS: usize = 64;

enum Control {
    Term(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>),
    Change(ChangeId, Box<Change>, Note),
    Beat,
}

/// A way to ask.
pub struct Controls {
    journal: Journal,
    queue: mpsc::Sender<Control>,
}

impl Controls {
    /// Starts the task that asks, on the current runtime.
    pub fn start(journal: Journal, reports: mpsc::Sender<Report>) -> Self {
        let (sender, mut queue) = mpsc::channel(CONTROLS);
        let asked = journal.clone();
        tokio::spawn(async move {
            while let Some(control) = queue.recv().await {
                match control {
                    Control::Term(begun) => begun.await,
                    Control::Beat => asked.beat().await,
                    Control::Change(id, change, note) => {
                        // Without a committer the process is about to end.
                        let Some(outcome) = asked.change(*change, note).await else { return };
                        if reports.send(Report::Decided(id, outcome)).await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
        Self { journal, queue: sender }
    }

    /// Commits under this term from now on. False if there is no room for that.
    pub fn begin_term(&self, term: u64) -> bool {
        let begun = Box::pin(self.journal.begin_term(term));
        self.queue.try_send(Control::Term(begun)).is_ok()
    }

    /// Changes the map, and reports the outcome.
    ///
    /// # Errors
    /// The outcome, if there is no room for the change.
    pub fn change(&self, id: ChangeId, change: Change, note: Note) -> Result<(), Outcome> {
        let control = Control::Change(id, Box::new(change), note);
        self.queue.try_send(control).map_err(|_| Outcome::Refused)
    }

    /// Commits something, unless the committer has enough to do already.
    pub fn beat(&self) {
        let _enough = self.queue.try_send(Control::Beat);
    }
}
