//! Reads what the logs hold, page by page.

use anyhow::{Context, Result, bail};
use greenroom_protocol::results::HistoryPage;
use greenroom_protocol::{Call, EntityId, Seq, limits, params};

use super::record::Record;
use super::stage::Stage;
use crate::client::Conn;
use crate::history::{Event, Page, What};

/// What a reading is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// One among others; it is judged like everybody's pages.
    Judged,
    /// The last; all others are judged by it.
    Last,
}

/// Reads all logs and notes the pages; returns where each log ends.
///
/// # Errors
/// Where the server does not answer, or a page does not go on from the last.
pub async fn read_all(stage: &Stage, record: &mut Record, reading: Reading) -> Result<Vec<Seq>> {
    let (mut conn, _) = Conn::open(&stage.run.target, "drill-judge", Vec::new())
        .await
        .context("the logs cannot be read")?;
    let mut heads = Vec::with_capacity(stage.targets.len());
    for (index, target) in stage.targets.iter().enumerate() {
        heads.push(read(&mut conn, index, &target.id, record, reading).await?);
    }
    Ok(heads)
}

async fn read(
    conn: &mut Conn,
    index: usize,
    entity: &EntityId,
    record: &mut Record,
    reading: Reading,
) -> Result<Seq> {
    let mut after = 0;
    loop {
        let call = Call::History(params::History {
            entity: entity.clone(),
            before: None,
            after: Some(after),
            limit: Some(limits::MAX_HISTORY),
        });
        let asked = record.now();
        let page: HistoryPage = conn
            .ask(&call)
            .await
            .with_context(|| format!("the log of `{entity}` cannot be read"))?;
        let HistoryPage { epoch, events, more } = page;
        let events: Vec<_> = events.iter().map(Event::from).collect();
        let last = events.last().map(|event| event.seq);
        record.note(
            index,
            match reading {
                Reading::Judged => {
                    What::Page(Box::new(Page { asked, after: Some(after), epoch, events, more }))
                }
                Reading::Last => What::Log { epoch, events },
            },
        );
        match last {
            _ if !more => return Ok(last.unwrap_or(after)),
            Some(last) if last > after => after = last,
            _ => {
                bail!("a page of the log of `{entity}` says that there is more, and does not go on")
            }
        }
    }
}
