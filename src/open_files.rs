//! The limit on open files, and how many connections fit under it.
//!
//! Without this a flood of connections would take the files that the store needs.

use crate::config::SocketConfig;

/// Files for everything that is no client's connection: the store, the listeners, the log.
const RESERVED: usize = 400;

/// How many files this process may have open; none where that is unknown or unlimited.
pub fn limit() -> Option<usize> {
    let limit = metrics_process::collector::collect().max_fds?;
    // That crate writes 0 for "unlimited".
    usize::try_from(limit).ok().filter(|limit| *limit > 0)
}

/// Lowers the bounds on connections where they do not fit under `limit`.
///
/// Returns what the operator should read then.
#[must_use]
pub fn fit(socket: &mut SocketConfig, limit: usize) -> Option<String> {
    let (connections, pending) = (socket.max_connections, socket.max_pending);
    let room = limit.saturating_sub(RESERVED).max(2);
    if connections.saturating_add(pending) <= room {
        return None;
    }
    socket.max_pending = pending.min(room.div_ceil(4));
    socket.max_connections = connections.min(room - socket.max_pending);
    Some(format!(
        "the process may have {limit} open files, of which {RESERVED} are not for clients: `socket.max_connections` = {connections} and \
         `socket.max_pending` = {pending} do not fit and count as {} and {}; raise the limit (`ulimit -n`, `LimitNOFILE` of systemd)",
        socket.max_connections, socket.max_pending
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(connections: usize, pending: usize, limit: usize) -> (usize, usize, bool) {
        let mut socket = SocketConfig {
            max_connections: connections,
            max_pending: pending,
            ..SocketConfig::default()
        };
        let warning = fit(&mut socket, limit);
        (socket.max_connections, socket.max_pending, warning.is_some())
    }

    #[test]
    fn what_fits_stays() {
        assert_eq!(fitted(15_000, 4_000, 20_000), (15_000, 4_000, false));
        assert_eq!(fitted(600, 24, 1024), (600, 24, false), "to the last file");
    }

    #[test]
    fn what_does_not_fit_is_lowered_and_said() {
        assert_eq!(fitted(600, 25, 1024), (599, 25, true));
        assert_eq!(fitted(15_000, 4_000, 1024), (468, 156, true));
        assert_eq!(fitted(usize::MAX, usize::MAX, 1024), (468, 156, true));
        assert_eq!(fitted(15_000, 4_000, 10), (1, 1, true), "some connection is always possible");
    }

    #[test]
    fn this_process_has_a_limit() {
        assert!(limit().is_none_or(|limit| limit >= 16));
    }
}
