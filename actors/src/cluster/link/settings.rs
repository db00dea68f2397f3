//! What a link may hold and how long it waits.

use super::frame::{HEADER, MAX_FRAME, MAX_ITEM};

/// Settings of a link. All nodes of a cluster should have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Bytes that wait for a peer or for its acknowledgement. An item that does not fit resets the
    /// link; but one at a time may exceed this if it has more than a quarter of these bytes, so at
    /// most `link_bytes` + `item_bytes` are held.
    pub link_bytes: usize,
    /// Bytes of frames that have been received and not yet read with `poll_event`. The peer sends
    /// no more than that.
    pub window_bytes: usize,
    /// Bytes of a frame. Larger items are split.
    pub frame_bytes: usize,
    /// Bytes of an item's body, at most.
    pub item_bytes: usize,
    /// Milliseconds after which a frame is acknowledged if no frame goes the other way meanwhile.
    pub ack_delay: u64,
    /// Bytes of frames that are acknowledged at once.
    pub ack_bytes: usize,
    /// Milliseconds without progress after which the first unacknowledged frame is sent again.
    pub resend: u64,
    /// Milliseconds without a frame or a beat after which the peer is silent.
    pub silence: u64,
    /// Milliseconds without progress, although the peer is heard, after which the link is reset.
    pub stall: u64,
    /// Milliseconds until the first repetition of a hello. Each further one takes twice as long.
    pub hello: u64,
    /// Milliseconds between two hellos, at most.
    pub hello_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            link_bytes: 8 * 1_048_576,
            window_bytes: 8 * 1_048_576,
            frame_bytes: 65_536,
            item_bytes: MAX_ITEM,
            ack_delay: 20,
            ack_bytes: 262_144,
            resend: 300,
            silence: 1_000,
            stall: 5_000,
            hello: 100,
            hello_max: 1_000,
        }
    }
}

/// Why settings cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}` must be {must}")]
pub struct Unfit {
    pub setting: &'static str,
    pub must: &'static str,
}

impl Settings {
    /// Returns the first setting that cannot work with the others.
    pub fn check(&self) -> Result<(), Unfit> {
        let rules = [
            (
                (HEADER + 256..=MAX_FRAME).contains(&self.frame_bytes),
                "frame_bytes",
                "between 303 bytes and 1 MiB",
            ),
            (self.link_bytes >= 2 * self.frame_bytes, "link_bytes", "at least two frames"),
            (
                self.window_bytes >= 2 * self.frame_bytes && self.window_bytes < 1 << 30,
                "window_bytes",
                "at least two frames and less than 1 GiB",
            ),
            ((1..=MAX_ITEM).contains(&self.item_bytes), "item_bytes", "between 1 byte and 16 MiB"),
            (
                self.ack_bytes <= self.window_bytes / 2,
                "ack_bytes",
                "at most half of `window_bytes`",
            ),
            (self.ack_delay * 2 <= self.resend, "ack_delay", "at most half of `resend`"),
            (self.resend > 0, "resend", "at least 1 ms"),
            (self.resend * 2 <= self.silence, "silence", "at least twice `resend`"),
            (self.silence <= self.stall, "stall", "at least `silence`"),
            (self.hello > 0, "hello", "at least 1 ms"),
            (self.hello <= self.hello_max, "hello_max", "at least `hello`"),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, setting, must)) => Err(Unfit { setting, must }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Settings, Unfit};

    #[test]
    fn the_defaults_work_and_what_cannot_work_is_refused() {
        assert_eq!(Settings::default().check(), Ok(()));
        let unfit = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.check().map_err(|Unfit { setting, .. }| setting)
        };
        assert_eq!(unfit(|s| s.frame_bytes = 2 << 20), Err("frame_bytes"));
        assert_eq!(unfit(|s| s.link_bytes = 65_536), Err("link_bytes"));
        assert_eq!(unfit(|s| s.window_bytes = 1 << 30), Err("window_bytes"));
        assert_eq!(unfit(|s| s.item_bytes = 0), Err("item_bytes"));
        assert_eq!(unfit(|s| s.ack_bytes = 8 << 20), Err("ack_bytes"));
        assert_eq!(unfit(|s| s.ack_delay = 200), Err("ack_delay"));
        assert_eq!(unfit(|s| s.silence = 500), Err("silence"));
        assert_eq!(unfit(|s| s.stall = 500), Err("stall"));
        assert_eq!(unfit(|s| s.hello_max = 1), Err("hello_max"));
        assert_eq!(
            Unfit { setting: "stall", must: "at least `silence`" }.to_string(),
            "`stall` must be at least `silence`"
        );
    }
}
