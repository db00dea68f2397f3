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
