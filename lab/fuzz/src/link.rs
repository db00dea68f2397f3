//! Frames between nodes, and a link that receives them: the decoders take any bytes, what they
//! accept is written again as the same bytes, and a link whose peer sends whatever it likes neither
//! panics nor holds more than it may, nor goes on sending for ever.
#![no_main]

use bytes::Bytes;
use greenroom_actors::clock::Mono;
use greenroom_actors::cluster::link::beat::Beat;
use greenroom_actors::cluster::link::frame::{MAGIC, PROTO, Writer};
use greenroom_actors::cluster::link::{Frame, Item, Kind, Link, Settings};

const SETTINGS: Settings = Settings {
    link_bytes: 2_048,
    window_bytes: 2_048,
    frame_bytes: 512,
    item_bytes: 1_024,
    ack_delay: 20,
    ack_bytes: 512,
    resend: 300,
    silence: 1_000,
    stall: 5_000,
    hello: 100,
    hello_max: 1_000,
};

/// Bytes before the epochs, and before the numbers.
const EPOCHS: usize = 19;
const SEQ: usize = 27;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    decode(data);
    if let Some((role, steps)) = data.split_first() {
        let (me, peer) = if role % 2 == 0 { (1, 2) } else { (2, 1) };
        let link = Link::new(me, peer, SETTINGS, fastrand::Rng::with_seed(1));
        Run { link, me, peer, now: Mono::at(1_000), said: 1 }.run(steps);
    }
});

fn decode(data: &[u8]) {
    if let Ok(frame) = Frame::decode(Bytes::copy_from_slice(data)) {
        let mut writer = Writer::new(data.len());
        for piece in frame.pieces() {
            writer.push(piece.part, piece.kind, &piece.body);
        }
        assert_eq!(writer.finish(&frame.header), data, "a frame written again");
    }
    if let Ok(beat) = Beat::decode(data) {
        assert_eq!(beat.encode(), data, "a beat written again");
    }
}

/// A link, and what its peer knows of it.
struct Run {
    link: Link,
    me: u64,
    peer: u64,
    now: Mono,
    /// The last epoch it sent that the peer can refer to.
    said: u32,
}

impl Run {
    /// Each step is a number, a length, and that many bytes.
    fn run(mut self, mut steps: &[u8]) {
        while let [step, length, rest @ ..] = steps {
            let ms = u64::from(*length);
            steps = rest;
            match step % 8 {
                0 => self.now = self.now.after(ms),
                1 => self.now = self.now.after(20 * ms),
                2 => self.link.heard_beat(self.now),
                3 => self.link.reconnected(self.now),
                4 => {
                    let body = Bytes::from(vec![*length; usize::from(*length) * 5]);
                    // Refusals are among what is tried.
                    let _refused = self.link.push(Item { kind: *step, body }, self.now);
                }
                fit => {
                    let (bytes, rest) = rest.split_at(usize::from(*length).min(rest.len()));
                    steps = rest;
                    self.receive(bytes.to_vec(), fit > 5);
                }
            }
            self.poll();
        }
    }

    /// A frame from the peer: of any epochs, or of those that fit.
    fn receive(&mut self, mut bytes: Vec<u8>, fits: bool) {
        if let Some(start) = bytes.get_mut(..EPOCHS) {
            start[..2].copy_from_slice(&[MAGIC, PROTO]);
            start[3..11].copy_from_slice(&self.peer.to_le_bytes());
            start[11..].copy_from_slice(&self.me.to_le_bytes());
        }
        if fits && let Some(epochs) = bytes.get_mut(EPOCHS..SEQ) {
            if let Some(pair) = self.link.pair() {
                epochs[..4].copy_from_slice(&pair.theirs.to_le_bytes());
            }
            epochs[4..].copy_from_slice(&self.said.to_le_bytes());
        }
        if let Ok(frame) = Frame::decode(bytes.into()) {
            self.link.receive(&frame, self.now);
        }
    }

    fn poll(&mut self) {
        let mut polled = 0;
        while let Some(message) = self.link.poll_outgoing(self.now) {
            polled += 1;
            assert!(polled < 200, "a link that goes on sending");
            let sent = Frame::decode(message).expect("a link sends frames").header;
            // An answerer's hello offers nothing.
            if self.me < self.peer || sent.kind != Kind::Hello {
                self.said = sent.epoch;
            }
        }
        while self.link.poll_event(self.now).is_some() {
            polled += 1;
            assert!(polled < 5_000, "a link that goes on reporting");
        }
        assert!(
            self.link.next_deadline().is_none_or(|at| at > self.now),
            "a deadline that is over"
        );
        assert!(self.link.bytes_out() <= SETTINGS.link_bytes + SETTINGS.item_bytes + 3 * 53);
        assert!(self.link.bytes_in() <= SETTINGS.window_bytes + SETTINGS.item_bytes);
    }
}
