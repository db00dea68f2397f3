//! What an entity takes while nobody is there. There may be a hundred thousand of them.

use crate::entity::{Entity, EntityActor};

#[test]
fn an_entity_fits_where_it_should() {
    // The next size that allocators have is 448 bytes.
    assert!(size_of::<Entity>() <= 384, "an entity takes {} bytes", size_of::<Entity>());
    // Its task, with actix's context, takes 440 bytes more, and is rounded up to a multiple of 128.
    assert!(size_of::<EntityActor>() <= 640 - 440, "its actor takes {} bytes", size_of::<EntityActor>());
}
