//! An outbox: the cost of a frame on its way in and out.

use std::collections::VecDeque;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use greenroom_actors::outbox::{Outbox, Outboxes};

use crate::rig;

/// One iteration pushes `frames` frames of 150 bytes and takes them out again as a pump does.
#[divan::bench(args = [1, 64])]
fn push_and_take(bencher: Bencher<'_, '_>, frames: usize) {
    let outbox = Outbox::new(rig::session(1), 256 * 1024, Outboxes::new(usize::MAX));
    let frame = Bytes::from(vec![b'x'; 150]);
    let mut taken = VecDeque::with_capacity(frames);
    bencher.counter(ItemsCount::new(frames)).bench_local(|| {
        for _ in 0..frames {
            outbox.push(divan::black_box(&frame).clone());
        }
        outbox.take(&mut taken, frames, usize::MAX);
        assert_eq!(taken.len(), frames);
        taken.drain(..).map(|frame| frame.len()).sum::<usize>()
    });
}
