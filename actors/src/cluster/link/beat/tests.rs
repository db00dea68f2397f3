use proptest::prelude::*;

use super::{BEAT, Beat, BeatError, Digest, Hearing, LENGTH, MAX_NODES};
use crate::clock::Mono;
use crate::cluster::link::frame::{FrameError, MAGIC, PROTO};

const GOLDEN: Beat = Beat {
    node: 0x0102_0304_0506_0708,
    term: 3,
    map: 0x1_0000,
    load: 1_500,
    spare: 64,
    hears: Digest { count: 2, hash: 0xf1f2_f3f4_f5f6_f7f8 },
};

/// These bytes are the format: another version of the program reads them.
#[test]
fn beats_have_golden_bytes() {
    let hex: String = GOLDEN.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    let golden = "d701100807060504030201030000000000000000000100000000\
                  00dc050000400000000200f8f7f6f5f4f3f2f1";
    assert_eq!(hex, golden);
    assert_eq!(Beat::decode(&GOLDEN.encode()), Ok(GOLDEN));
    assert_eq!(
        Digest::of(&[1, 2]),
        Digest {
            count: 2,
            hash: xxhash_rust::xxh3::xxh3_64(&[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0])
        }
    );
}

#[test]
fn what_is_not_a_beat_is_refused_by_name() {
    let good = GOLDEN.encode();
    let with = |at: usize, value: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = value;
        Beat::decode(&bytes)
    };
    assert_eq!(with(0, b'{'), Err(FrameError::Magic(b'{').into()));
    assert_eq!(with(1, PROTO + 1), Err(FrameError::Proto(PROTO + 1, PROTO).into()));
    assert_eq!(with(2, BEAT + 1), Err(BeatError::Kind(BEAT + 1)));
    assert_eq!(Beat::decode(&good[..LENGTH - 1]), Err(BeatError::Length(LENGTH - 1)));
    assert_eq!(Beat::decode(&[&good[..], &[0]].concat()), Err(BeatError::Length(LENGTH + 1)));
    assert_eq!(Beat::decode(&[MAGIC]), Err(FrameError::Short(1).into()));
    assert_eq!(BeatError::Length(3).to_string(), "a beat of 3 bytes: it has 45");
}

proptest! {
    #[test]
    fn beats_are_read_as_they_were_written(
        node: u64, term: u64, map: u64, load: u32, spare: u32, count: u16, hash: u64,
    ) {
        let beat = Beat { node, term, map, load, spare, hears: Digest { count, hash } };
        prop_assert_eq!(Beat::decode(&beat.encode()), Ok(beat));
    }

    #[test]
    fn any_bytes_are_a_beat_or_an_error(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..60), begins in 0usize..4,
    ) {
        for (byte, good) in bytes.iter_mut().zip([MAGIC, PROTO, BEAT]).take(begins) {
            *byte = good;
        }
        if let Ok(beat) = Beat::decode(&bytes) {
            prop_assert_eq!(&beat.encode()[..], &bytes);
        }
    }
}

#[test]
fn a_node_is_heard_for_a_second() {
    let mut hearing = Hearing::new(5, 1_000, Mono::at(0));
    hearing.heard(9, Mono::at(100));
    hearing.heard(5, Mono::at(200));
    assert_eq!(hearing.nodes(Mono::at(1_099)), [5, 9]);
    assert!(!hearing.hears(9, Mono::at(1_100)));
    assert!(!hearing.hears(1, Mono::at(100)));
    assert_eq!(hearing.nodes(Mono::at(1_100)), [5]);
    assert!(!hearing.is_deaf(Mono::at(1_199)));
    assert!(hearing.is_deaf(Mono::at(1_200)));
    assert!(hearing.nodes(Mono::at(1_200)).is_empty());
    hearing.heard(9, Mono::at(2_000));
    assert_eq!(hearing.nodes(Mono::at(2_000)), [9], "one may be deaf for oneself alone");
}

#[test]
fn a_node_that_starts_is_not_deaf_at_once() {
    let hearing = Hearing::new(5, 1_000, Mono::at(7_000));
    assert!(!hearing.is_deaf(Mono::at(7_999)));
    assert!(hearing.is_deaf(Mono::at(8_000)));
}

#[test]
fn nodes_that_hear_each_other_have_the_same_digest() {
    let now = Mono::at(10);
    let mut hearings = [1, 2, 3].map(|me| Hearing::new(me, 1_000, now));
    for hearing in &mut hearings {
        for node in 1..=3 {
            hearing.heard(node, now);
        }
    }
    let digests = hearings.each_ref().map(|hearing| hearing.digest(now));
    assert_eq!(digests, [digests[0]; 3]);
    hearings[0].keep(|node| node != 3);
    let fewer = hearings[0].digest(now);
    assert_eq!(fewer.count, 2);
    assert_ne!(fewer, digests[0]);
}

#[test]
fn strangers_do_not_fill_the_memory() {
    let mut hearing = Hearing::new(0, 1_000, Mono::at(0));
    for node in 1..=MAX_NODES as u64 {
        hearing.heard(node, Mono::at(0));
    }
    hearing.heard(5_000, Mono::at(999));
    assert!(!hearing.hears(5_000, Mono::at(999)));
    hearing.heard(1, Mono::at(999));
    hearing.heard(5_000, Mono::at(1_000));
    assert_eq!(hearing.nodes(Mono::at(1_000)), [1, 5_000]);
}
