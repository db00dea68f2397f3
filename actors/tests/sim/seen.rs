//! Counts what happened, to check that rare cases were covered.

/// What a future can wait for when its node or entity ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// A commit that is not executed yet; below, one that is executed and not answered.
    CommitAsked,
    CommitDone,
    SettleAsked,
    SettleDone,
    LoadAsked,
    LoadDone,
    PageAsked,
    PageDone,
    /// The committer, between two attempts to settle a transaction.
    Pause,
    /// The committer, for messages.
    Queue,
    /// A load, for permission.
    ColdStart,
    /// A load after a crash, for what the last life had queued.
    Barrier,
    /// A failed load, for its next attempt.
    Timer,
    /// An entity, for space in a relay's queue.
    RelayRoom,
    /// A task, for space in a directory's or relay's queue.
    SpawnedSend,
    /// A control message, for space in an entity's mailbox.
    MailboxRoom,
    /// A node that stops, for its entities; below, for the journal.
    Drain,
    DrainBarrier,
    /// A node of a cluster, for the map, to join, and for a change of the map.
    ViewAsked,
    ViewDone,
    JoinAsked,
    JoinDone,
    ChangeAsked,
    ChangeDone,
}

impl Wait {
    /// What there is without a cluster.
    pub const ALONE: usize = Self::ViewAsked as usize;
    pub const COUNT: usize = Self::ChangeDone as usize + 1;
}

macro_rules! counters {
    ($($name:ident)*) => {
        #[derive(Debug, Clone, Copy, Default)]
        pub struct Seen {
            $(pub $name: u64,)*
            /// Crashes by what was waited for, in the order of [`Wait`].
            pub crashed_at: [u64; Wait::COUNT],
        }

        impl Seen {
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
                for (sum, more) in self.crashed_at.iter_mut().zip(other.crashed_at) {
                    *sum += more;
                }
            }

            /// What happened less often than `least`.
            pub fn rarer_than(&self, least: u64) -> Vec<&'static str> {
                [$((stringify!($name), self.$name)),*].into_iter().filter(|(_, count)| *count < least).map(|(name, _)| name).collect()
            }
        }
    };
}

counters! {
    ops rejected conflicts expired overloaded repeats
    commits_failed answers_lost stragglers reads_failed settles_failed store_cut
    connections_cut half_open wires_held wires_lost slow_closed
    entities_crashed panics_between panics_in_encode nodes_crashed
    drained drain_cut_short takeovers fenced
    clock_back clock_forward timers pings
    rate_limited tokens_expired
    cluster_lost cluster_twice cluster_late cluster_disturbed cluster_cut cluster_restarted
    cluster_paused cluster_databases cluster_left cluster_orders
    resumed signals presence_told presence_checked reads events resets rights_lost too_many pipelined
}

impl Seen {
    pub fn crashed(&mut self, waits: &[Wait]) {
        for wait in waits {
            self.crashed_at[*wait as usize] += 1;
        }
    }
}
