//! What a link counts, for metrics.

/// Why a link was reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Too much waited for the peer.
    Full,
    /// The peer was heard again after a silence.
    Silence,
    /// The peer was heard, but acknowledged nothing.
    Stalled,
    /// The peer reset the link, or restarted it.
    Peer,
    /// The peer sent what no correct node sends.
    Garbled,
}

/// Counters of one link, since it was made. They only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames sent, with those sent again, and their bytes.
    pub frames_sent: u64,
    pub bytes_sent: u64,
    /// Frames sent again.
    pub resends: u64,
    /// Nacks sent because something is missing, or may be.
    pub nacks_sent: u64,
    /// Frames received for this link, and their bytes.
    pub frames_received: u64,
    pub bytes_received: u64,
    /// Numbered frames that were taken, and items pushed and read.
    pub frames_taken: u64,
    pub items_pushed: u64,
    pub items_read: u64,
    /// Frames dropped because they came twice.
    pub repeats: u64,
    /// Frames dropped because one before them was missing.
    pub gaps: u64,
    /// Frames dropped because the window was full.
    pub overruns: u64,
    /// Frames dropped because they belong to another epoch.
    pub stale: u64,
    /// Frames dropped because they are from or for another node.
    pub strays: u64,
    /// How often the peer fell silent.
    pub silences: u64,
    /// Resets by cause.
    pub resets_full: u64,
    pub resets_silence: u64,
    pub resets_stalled: u64,
    pub resets_peer: u64,
    pub resets_garbled: u64,
}

impl Counters {
    /// How often the link was reset.
    pub const fn resets(&self) -> u64 {
        self.resets_full
            + self.resets_silence
            + self.resets_stalled
            + self.resets_peer
            + self.resets_garbled
    }

    /// The sums, or the differences, or whatever else is made of each two counters.
    pub fn zip(&self, other: &Self, with: impl Fn(u64, u64) -> u64) -> Self {
        let (a, b) = (self, other);
        Self {
            frames_sent: with(a.frames_sent, b.frames_sent),
            bytes_sent: with(a.bytes_sent, b.bytes_sent),
            resends: with(a.resends, b.resends),
            nacks_sent: with(a.nacks_sent, b.nacks_sent),
            frames_received: with(a.frames_received, b.frames_received),
            bytes_received: with(a.bytes_received, b.bytes_received),
            frames_taken: with(a.frames_taken, b.frames_taken),
            items_pushed: with(a.items_pushed, b.items_pushed),
            items_read: with(a.items_read, b.items_read),
            repeats: with(a.repeats, b.repeats),
            gaps: with(a.gaps, b.gaps),
            overruns: with(a.overruns, b.overruns),
            stale: with(a.stale, b.stale),
            strays: with(a.strays, b.strays),
            silences: with(a.silences, b.silences),
            resets_full: with(a.resets_full, b.resets_full),
            resets_silence: with(a.resets_silence, b.resets_silence),
            resets_stalled: with(a.resets_stalled, b.resets_stalled),
            resets_peer: with(a.resets_peer, b.resets_peer),
            resets_garbled: with(a.resets_garbled, b.resets_garbled),
        }
    }

    /// Counts a reset.
    pub(super) fn reset(&mut self, cause: Cause) {
        let counter = match cause {
            Cause::Full => &mut self.resets_full,
            Cause::Silence => &mut self.resets_silence,
            Cause::Stalled => &mut self.resets_stalled,
            Cause::Peer => &mut self.resets_peer,
            Cause::Garbled => &mut self.resets_garbled,
        };
        *counter += 1;
    }
}
