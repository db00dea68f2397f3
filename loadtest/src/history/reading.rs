//! Reads what the logs hold, page by page.

use anyhow::{Context, Result, bail};
use greenroom_protocol::results::HistoryPage;
use greenroom_protocol::{Call, EntityId, Seq, limits, params};

use super::notes::Notes;
use super::{Event, Page, What};
use crate::client::Conn;

/// What a reading is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// One among others; it is judged like everybody's pages.
    Judged,
    /// The last; all others are judged by it.
    Last,
}

impl Reading {
    /// Reads all logs and notes the pages; returns where each log ends.
    pub async fn all(
        self,
        conn: &mut Conn,
        entities: &[EntityId],
        notes: &mut Notes,
    ) -> Result<Vec<Seq>> {
        let mut heads = Vec::with_capacity(entities.len());
        for (index, entity) in entities.iter().enumerate() {
            let head = self.one(conn, index, entity, notes).await;
            heads.push(head.with_context(|| format!("the log of `{entity}` cannot be read"))?);
        }
        Ok(heads)
    }

    async fn one(
        self,
        conn: &mut Conn,
        index: usize,
        entity: &EntityId,
        notes: &mut Notes,
    ) -> Result<Seq> {
        let mut after = Seq::ZERO;
        loop {
            let asked = notes.now();
            let page = params::History {
                entity: entity.clone(),
                before: None,
                after: Some(after),
                limit: Some(limits::MAX_HISTORY),
            };
            let HistoryPage { epoch, events, more } =
                conn.ask_patiently(&Call::History(page)).await?;
            let events: Vec<_> = events.iter().map(Event::from).collect();
            let last = events.last().map(|event| event.seq);
            let page = Page { asked, after: Some(after), epoch, events, more };
            notes.note(
                index,
                match self {
                    Self::Judged => What::Page(Box::new(page)),
                    Self::Last => What::Log { epoch: page.epoch, events: page.events },
                },
            );
            match last {
                _ if !more => return Ok(last.unwrap_or(after)),
                Some(last) if last > after => after = last,
                _ => bail!("a page says that there is more, and does not go on"),
            }
        }
    }
}
