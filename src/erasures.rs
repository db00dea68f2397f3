//! Has entities go on with what they were erasing when the last process ended, or when they ended
//! themselves: nobody else may ask for them for a long time.

use std::sync::Arc;
use std::time::Duration;

use greenroom_actors::directory::Directory;
use greenroom_actors::entity::ToEntity;
use greenroom_actors::store::Store;

/// How often to look for them.
const EVERY: Duration = Duration::from_secs(15);
/// How many rows are looked at in one go.
const SOME: usize = 64;
/// The pause before the next ones.
const PAUSE: Duration = Duration::from_secs(1);

/// Wakes entities of which something is still to be erased, a few at a time, for as long as it is
/// polled.
pub async fn wake(store: Arc<dyn Store>, directory: Directory) {
    let mut last = None;
    loop {
        match store.erasing(last.as_ref(), SOME).await {
            Ok(found) => {
                for entity in &found {
                    directory.route_control(entity, ToEntity::Erase);
                }
                last = found.last().cloned();
            }
            Err(error) => {
                tracing::warn!(%error, "cannot look for deleted bodies that are still to be erased");
                last = None;
            }
        }
        tokio::time::sleep(if last.is_some() { PAUSE } else { EVERY }).await;
    }
}
