//! How much of each room's log is still there.

use anyhow::{Context, Result};
use greenroom_protocol::results::HistoryPage;
use greenroom_protocol::{Call, EntityId, Seq, params};

use greenroom_loadtest::report::Report;
use greenroom_loadtest::run::Run;

/// What was posted, and what of it is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Events of all logs.
    posted: u64,
    /// Events that are still there.
    kept: u64,
    /// The most of one log.
    most: u64,
    /// Logs whose beginning is gone.
    trimmed: u64,
}

impl Kept {
    /// Asks for the first event of each log that is still there; the logs end at `ends`.
    pub async fn ask(run: &Run, rooms: &[EntityId], ends: &[Seq]) -> Result<Self> {
        let mut checker = run
            .open_patiently(0, "checker", Vec::new())
            .await
            .context("the checking connection failed")?
            .conn;
        let mut total = Self::default();
        for (room, end) in rooms.iter().zip(ends) {
            let call = Call::History(params::History {
                entity: room.clone(),
                before: None,
                after: Some(Seq::ZERO),
                limit: Some(1),
            });
            let page: HistoryPage = checker
                .ask(&call)
                .await
                .with_context(|| format!("the history of `{room}` cannot be read"))?;
            total.add(*end, page.events.first().map(|event| event.seq));
        }
        Ok(total)
    }

    /// Adds a log that ends at `end`, and whose first event that is still there is `first`.
    fn add(&mut self, end: Seq, first: Option<Seq>) {
        let kept = first.map_or(0, |first| end.next().saturating_since(first));
        self.posted += end.get();
        self.kept += kept;
        self.most = self.most.max(kept);
        self.trimmed += u64::from(kept < end.get());
    }

    /// Adds all of it to a report.
    pub fn tell(self, report: &mut Report) {
        let figures = [
            ("journal_events", self.posted),
            ("journal_events_kept", self.kept),
            ("journal_events_kept_of_a_room_max", self.most),
            ("journal_rooms_trimmed", self.trimmed),
        ];
        figures.into_iter().for_each(|(name, count)| report.figures.add(name, count as f64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_add_up() {
        let mut kept = Kept::default();
        for (end, first) in [(100, Some(1)), (500, Some(301)), (0, None), (7, None)] {
            kept.add(Seq::new(end), first.map(Seq::new));
        }
        assert_eq!(
            kept,
            Kept { posted: 607, kept: 300, most: 200, trimmed: 2 },
            "an empty log has lost nothing"
        );
    }
}
