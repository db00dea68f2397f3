//! Reads what a room holds in the end.

use anyhow::{Context, Result, bail};
use greenroom_protocol::results::HistoryPage;
use greenroom_protocol::{Call, EntityId, limits, params};

use super::History;
use super::record::Body;
use crate::client::Conn;

/// The whole history of `entity`, page by page.
///
/// # Errors
/// Where the server does not answer, or answers with pages of different logs, or with one that does not go on from the last.
pub async fn read(conn: &mut Conn, entity: &EntityId) -> Result<History> {
    let (mut log, mut events, mut after) = (None, Vec::new(), 0);
    loop {
        let call =
            Call::History(params::History { entity: entity.clone(), before: None, after: Some(after), limit: Some(limits::MAX_HISTORY) });
        let page: HistoryPage = conn.ask(&call).await.with_context(|| format!("the history of `{entity}` cannot be read"))?;
        if log.get_or_insert_with(|| page.epoch.clone()) != &page.epoch {
            bail!("the pages of the history of `{entity}` belong to different logs");
        }
        let last = page.events.last().map(|event| event.seq);
        events.extend(page.events.iter().map(|event| (event.seq, event.body.parse::<Body>().ok().map(|body| body.mark))));
        match last {
            _ if !page.more => return Ok(History { epoch: page.epoch, events }),
            Some(last) if last > after => after = last,
            _ => bail!("a page of the history of `{entity}` says that there is more, and does not go on"),
        }
    }
}
