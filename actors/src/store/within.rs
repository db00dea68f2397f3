//! Pages that are bounded in bytes as well as in events.

use greenroom_protocol::EntityId;

use super::{Page, Store, StoreError};
use crate::record::EventRecord;

/// Events that are read before it is known how large they are.
const FIRST: usize = 32;
/// Fewest events that are read at a time.
const FEWEST: usize = 8;

/// Reads a page up to the event with which its bodies have `most` bytes: a part at a time, so that
/// a page of large events does not take the memory of all that it could hold.
///
/// # Errors
/// What the store reports.
pub async fn events_within(
    store: &dyn Store,
    entity: &EntityId,
    page: Page,
    most: usize,
) -> Result<Vec<EventRecord>, StoreError> {
    let (Page::After { limit, .. } | Page::Before { limit, .. }) = page;
    let (mut all, mut bytes, mut step): (Vec<EventRecord>, usize, usize) = (Vec::new(), 0, FIRST);
    while all.len() < limit {
        let wanted = step.min(limit - all.len());
        let part = match page {
            Page::After { after, .. } => {
                Page::After { after: all.last().map_or(after, |event| event.seq), limit: wanted }
            }
            Page::Before { before, .. } => Page::Before {
                before: all.first().map_or(before, |event| event.seq),
                limit: wanted,
            },
        };
        let got = store.events(entity, part).await?;
        let at_the_end = got.len() < wanted;
        bytes += got.iter().map(|event| event.body.len()).sum::<usize>();
        match page {
            Page::After { .. } => all.extend(got),
            Page::Before { .. } => drop(all.splice(0..0, got)),
        }
        if at_the_end || bytes >= most {
            break;
        }
        // As many as would fill the page, if they are like those before.
        step = ((most - bytes) * all.len()).div_ceil(bytes.max(1)).max(FEWEST);
    }
    Ok(all)
}
