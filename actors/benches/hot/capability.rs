//! Capabilities: looks up what a token grants on an entity.

use divan::Bencher;
use greenroom_actors::capability::{Capabilities, Permissions};
use greenroom_protocol::EntityId;

/// One iteration looks up one entity id among `patterns` patterns, half of which are ids and half
/// prefixes of 20 lengths.
#[divan::bench(args = [2, 16, 256])]
fn lookup(bencher: Bencher<'_, '_>, patterns: usize) {
    let pattern = |i: usize| {
        let id = format!("room:team-{:03}-{}", i / 2, "x".repeat(i / 2 % 20));
        if i.is_multiple_of(2) { id } else { format!("{id}*") }
    };
    let capabilities = Capabilities::new((0..patterns).map(|i| (pattern(i), Permissions::READ)))
        .expect("these are valid patterns");
    let entity =
        EntityId::parse(&format!("room:team-000-{}", "y".repeat(20))).expect("it is an entity id");
    assert!(capabilities.permissions(&entity).contains(Permissions::READ), "a prefix matches");
    bencher.bench_local(|| divan::black_box(&capabilities).permissions(divan::black_box(&entity)));
}
