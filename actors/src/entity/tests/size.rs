//! What an entity takes to which nobody has ever written. There may be a hundred thousand of them.

use crate::behaviour::room::Room;
use crate::entity::{Entity, EntityActor};

#[test]
fn an_entity_fits_where_it_should() {
    // The next size that allocators have is 320 bytes.
    assert!(size_of::<Entity>() <= 256, "an entity takes {} bytes", size_of::<Entity>());
    // Its task, with actix's context, takes 440 bytes more, and is rounded up to a multiple of 128.
    assert!(
        size_of::<EntityActor>() <= 512 - 440,
        "its actor takes {} bytes",
        size_of::<EntityActor>()
    );
    // The next one is 96 bytes.
    assert!(size_of::<Room>() <= 80, "an empty room takes {} bytes", size_of::<Room>());
}
