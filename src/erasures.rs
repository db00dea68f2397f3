//! Wakes entities whose last life, or whose process, ended while they were erasing messages, so
//! that they continue: it may be a long time before a client uses them.

use std::sync::Arc;
use std::time::Duration;

use greenroom_actors::messages::{Directory, ToEntity};
use greenroom_actors::store::Store;
use greenroom_protocol::EntityId;

/// How often to look for such entities.
const EVERY: Duration = Duration::from_secs(15);
/// How many rows to read at a time.
const PAGE_ROWS: usize = 64;
/// The pause between pages.
const PAUSE: Duration = Duration::from_secs(1);

/// Wakes entities with messages still to be erased, a page at a time, for as long as it is polled:
/// those that `is_here` names, since other nodes wake theirs.
pub async fn wake(
    store: Arc<dyn Store>,
    directory: Directory,
    is_here: impl Fn(&EntityId) -> bool,
) {
    let mut last = None;
    loop {
        match store.erasing(last.as_ref(), PAGE_ROWS).await {
            Ok(found) => {
                for entity in found.iter().filter(|entity| is_here(entity)) {
                    directory.route_control(entity, ToEntity::Erase);
                }
                last = found.last().cloned();
            }
            Err(error) => {
                tracing::warn!(%error, "cannot look for deleted messages that are still to be erased");
                last = None;
            }
        }
        tokio::time::sleep(if last.is_some() { PAUSE } else { EVERY }).await;
    }
}
