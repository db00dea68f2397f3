//! The limit on open files, and how many connections fit under it.
//!
//! Without this, a flood of connections would use up the file descriptors that the store needs.

use crate::config::SocketConfig;

/// File descriptors reserved for everything but clients' connections: the store, the listeners, the
/// log.
const RESERVED: usize = 400;

/// How many files this process may have open; `None` if that is unknown or unlimited.
pub fn limit() -> Option<usize> {
    let limit = metrics_process::collector::collect().max_fds?;
    // `metrics-process` reports "unlimited" as 0.
    usize::try_from(limit).ok().filter(|limit| *limit > 0)
}

/// Lowers the limits on connections if they do not fit under `limit`.
///
/// Returns a warning for the operator if it did.
#[must_use]
pub fn fit(socket: &mut SocketConfig, limit: usize) -> Option<String> {
    let connections = socket.max_connections;
    let pending = socket.max_pending;
    let room = limit.saturating_sub(RESERVED).max(2);
    if connections.saturating_add(pending) <= room {
        return None;
    }
    socket.max_pending = pending.min(room.div_ceil(4));
    socket.max_connections = connections.min(room - socket.max_pending);
    Some(format!(
        "the process may open {limit} files, {RESERVED} of which are reserved: `socket.max_connections` = {connections} and \
         `socket.max_pending` = {pending} do not fit and are lowered to {} and {}; raise the limit (`ulimit -n`, or `LimitNOFILE` in systemd)",
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
    fn limits_that_fit_are_kept() {
        assert_eq!(fitted(15_000, 4_000, 20_000), (15_000, 4_000, false));
        assert_eq!(fitted(600, 24, 1024), (600, 24, false), "to the last file");
    }

    #[test]
    fn limits_that_do_not_fit_are_lowered_with_a_warning() {
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
