use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{
    Frame, FrameError, HEADER, Header, Kind, MAGIC, MAX_FRAME, PROTO, Part, Piece, Writer,
    in_version, preamble,
};

fn header(kind: Kind) -> Header {
    let (heard, ack, credit) = match kind {
        Kind::Data | Kind::Nack => (0x0d0e_0f10, 0x1112_1314_1516_1718, 0x191a_1b1c),
        Kind::Hello => (0, 0, 0x191a_1b1c),
        Kind::Welcome => (0x0d0e_0f10, 0, 0x191a_1b1c),
        Kind::Bye => (0x0d0e_0f10, 0, 0),
    };
    let (from, to) = (0x0102_0304_0506_0708, 0xf1f2_f3f4_f5f6_f7f8);
    Header { kind, from, to, epoch: 0x090a_0b0c, heard, seq: 0, ack, credit }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encode(mut header: Header, pieces: &[Piece]) -> Bytes {
    let mut writer = Writer::new(100);
    for piece in pieces {
        writer.push(piece.part, piece.kind, &piece.body);
    }
    if header.kind == Kind::Data {
        header.seq = if pieces.is_empty() { 0 } else { header.seq.max(1) };
    }
    writer.finish(&header)
}

/// These bytes are the format: another version of the program reads them.
#[test]
fn frames_have_golden_bytes() {
    let ids = "0807060504030201f8f7f6f5f4f3f2f10c0b0a09";
    let (heard, none, ack) = ("100f0e0d", "0000000000000000", "1817161514131211");
    let credit = "1c1b1a19";
    for (kind, golden) in [
        (Kind::Data, format!("d70100{ids}{heard}{none}{ack}{credit}")),
        (Kind::Hello, format!("d70101{ids}00000000{none}{none}{credit}")),
        (Kind::Welcome, format!("d70102{ids}{heard}{none}{none}{credit}")),
        (Kind::Nack, format!("d70103{ids}{heard}{none}{ack}{credit}")),
        (Kind::Bye, format!("d70104{ids}{heard}{none}{none}00000000")),
    ] {
        let bytes = encode(header(kind), &[]);
        assert_eq!(hex(&bytes), golden, "{kind:?}");
        let frame = Frame::decode(bytes).unwrap();
        assert_eq!(frame.header, header(kind));
        assert!(frame.is_empty());
    }
}

#[test]
fn items_have_golden_bytes() {
    let pieces = [
        Piece { part: Part::Last, kind: 9, body: Bytes::from_static(b"end") },
        Piece { part: Part::Whole, kind: 1, body: Bytes::new() },
        Piece { part: Part::Whole, kind: 0xff, body: Bytes::from(vec![b'x'; 40]) },
        Piece { part: Part::First, kind: 3, body: Bytes::from_static(b"be") },
    ];
    let bytes = encode(Header { seq: 2, ..header(Kind::Data) }, &pieces);
    let items = format!("0f09656e64{}a001ff{}09036265", "0001", "78".repeat(40));
    assert_eq!(hex(&bytes[HEADER..]), items);
    assert_eq!(hex(&bytes[27..35]), "0200000000000000", "seq");
    let frame = Frame::decode(bytes.clone()).unwrap();
    assert_eq!(frame.pieces().collect::<Vec<_>>(), pieces);
    assert_eq!(frame.len(), bytes.len());
    // Pieces are slices of the message, not copies.
    let first = frame.pieces().next().unwrap().body;
    assert!(bytes.as_ptr_range().contains(&first.as_ptr()));
}

#[test]
fn what_is_not_a_frame_is_refused_by_name() {
    let good = encode(header(Kind::Hello), &[]);
    let with = |at: usize, value: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = value;
        Frame::decode(bytes.into()).unwrap_err()
    };
    assert_eq!(with(0, b'{'), FrameError::Magic(b'{'));
    assert_eq!(with(1, PROTO + 1), FrameError::Proto(PROTO + 1, PROTO));
    assert_eq!(with(1, 0), FrameError::Proto(0, PROTO));
    assert_eq!(with(2, 5), FrameError::Kind(5));
    assert_eq!(with(23, 1), FrameError::Field("heard", Kind::Hello));
    assert_eq!(with(27, 1), FrameError::Field("seq", Kind::Hello));
    assert_eq!(with(35, 1), FrameError::Field("ack", Kind::Hello));
    let decode = |bytes: &[u8]| Frame::decode(Bytes::copy_from_slice(bytes)).unwrap_err();
    assert_eq!(decode(&good[..HEADER - 1]), FrameError::Short(HEADER - 1));
    assert_eq!(decode(&[]), FrameError::Short(0));
    assert_eq!(decode(&[&good[..], &[0, 0]].concat()), FrameError::Items(Kind::Hello));
    assert_eq!(decode(&vec![MAGIC; MAX_FRAME + 1]), FrameError::Long(MAX_FRAME + 1));
    assert_eq!(
        FrameError::Proto(9, 1).to_string(),
        "version `9` of the format between nodes: this node speaks 1 to 1"
    );
}

#[test]
fn malformed_items_are_refused_with_their_place() {
    let whole = encode(
        Header { seq: 1, ..header(Kind::Data) },
        &[Piece { part: Part::Whole, kind: 1, body: Bytes::from_static(b"ok") }],
    );
    let refused = |item: &[u8]| Frame::decode([&whole[..], item].concat().into()).unwrap_err();
    let at = FrameError::Item(whole.len());
    for item in [
        &[0u8][..],                         // no kind
        &[4, 1],                            // no body
        &[0x80],                            // a length that goes on
        &[0x80, 0x00, 1],                   // not the shortest form
        &[0xff, 0xff, 0xff, 0xff, 0x1f, 1], // more than 32 bits
        &[0x80, 0x80, 0x80, 0x80, 0x80, 1], // a sixth digit
        &[0xff, 0xff, 0xff, 0xff, 0x0f, 1], // longer than there are bytes
    ] {
        assert_eq!(refused(item), at, "{item:?}");
    }
}

fn any_part() -> impl Strategy<Value = Part> {
    proptest::sample::select(&Part::ALL[..])
}

prop_compose! {
    fn any_piece()(part in any_part(), kind: u8, body in vec(any::<u8>(), 0..300)) -> Piece {
        Piece { part, kind, body: body.into() }
    }
}

prop_compose! {
    fn any_frame()(
        kind in 0u8..5, from: u64, to: u64, epoch in 1u32.., heard in 1u32.., seq in 1u64..,
        ack: u64, credit: u32, pieces in vec(any_piece(), 0..8),
    ) -> (Header, Vec<Piece>) {
        let kind = Kind::read(kind).unwrap();
        let pieces = if kind == Kind::Data { pieces } else { Vec::new() };
        let acks = matches!(kind, Kind::Data | Kind::Nack);
        let header = Header {
            kind, from, to, epoch,
            heard: if kind == Kind::Hello { 0 } else { heard },
            seq: if pieces.is_empty() { 0 } else { seq },
            ack: if acks { ack } else { 0 },
            credit: if kind == Kind::Bye { 0 } else { credit },
        };
        (header, pieces)
    }
}

#[test]
fn a_message_is_read_by_those_who_speak_its_version() {
    let old = encode(header(Kind::Hello), &[]);
    let new = in_version(PROTO + 1, old.clone());
    assert_eq!(Frame::decode(new.clone()), Err(FrameError::Proto(PROTO + 1, PROTO)));
    assert_eq!(Frame::decode_up_to(PROTO + 1, new.clone()), Frame::decode(old.clone()));
    assert_eq!(in_version(PROTO, new), old);
    assert_eq!(in_version(PROTO, Bytes::new()), Bytes::new());
}

/// Decodes without a panic; what is accepted is written again as the same bytes.
fn total(bytes: Vec<u8>) {
    let bytes = Bytes::from(bytes);
    assert_eq!(preamble(&bytes, PROTO).is_err(), Frame::decode(bytes.clone()).is_err_and(early));
    if let Ok(frame) = Frame::decode(bytes.clone()) {
        let pieces: Vec<_> = frame.pieces().collect();
        let mut writer = Writer::new(bytes.len());
        for piece in &pieces {
            writer.push(piece.part, piece.kind, &piece.body);
        }
        assert_eq!(writer.finish(&frame.header), bytes);
    }
}

fn early(error: FrameError) -> bool {
    match error {
        FrameError::Short(length) => length < 3,
        FrameError::Long(_) | FrameError::Magic(_) | FrameError::Proto(..) => true,
        _ => false,
    }
}

proptest! {
    #[test]
    fn frames_are_read_as_they_were_written((header, pieces) in any_frame()) {
        let frame = Frame::decode(encode(header, &pieces)).unwrap();
        prop_assert_eq!(frame.header, header);
        prop_assert_eq!(frame.pieces().collect::<Vec<_>>(), pieces);
    }

    #[test]
    fn any_bytes_are_a_frame_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
        total(bytes);
    }

    #[test]
    fn any_items_are_a_frame_or_an_error(items in vec(any::<u8>(), 0..64)) {
        let header = Header { seq: 1, ..header(Kind::Data) };
        let bytes = encode(header, &[Piece { part: Part::Whole, kind: 0, body: Bytes::new() }]);
        total([&bytes[..HEADER], &items].concat());
    }

    #[test]
    fn changed_frames_are_a_frame_or_an_error(
        (header, pieces) in any_frame(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = encode(header, &pieces).to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        total(bytes);
    }
}
