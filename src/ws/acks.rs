//! What the operating system knows about the peer of a connection.

use tokio::net::TcpStream;

/// For how long, in ms, the peer's system has not acknowledged what it was sent. 0 if nothing is
/// outstanding: even if the program does not read, its system accepts what fits and answers window
/// probes. Also 0 on systems other than Linux, where this is not known.
#[cfg(target_os = "linux")]
pub fn unanswered_ms(socket: &TcpStream) -> u64 {
    nix::sys::socket::getsockopt(socket, linux::TcpInfo).map_or(0, |info| {
        // The first window probe may be in transit.
        let owes = info.tcpi_unacked > 0 || info.tcpi_probes > 1;
        if owes { info.tcpi_last_ack_recv.into() } else { 0 }
    })
}

#[cfg(not(target_os = "linux"))]
pub const fn unanswered_ms(_: &TcpStream) -> u64 {
    0
}

#[cfg(target_os = "linux")]
mod linux {
    use nix::{getsockopt_impl, libc, sockopt_impl};

    sockopt_impl!(TcpInfo, GetOnly, libc::IPPROTO_TCP, libc::TCP_INFO, libc::tcp_info);
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::unanswered_ms;

    #[tokio::test]
    async fn a_program_that_reads_nothing_is_not_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_peer, _) = listener.accept().await.unwrap();
        assert_eq!(unanswered_ms(&socket), 0);
        socket.write_all(b"hello").await.unwrap();
        while unanswered_ms(&socket) > 0 {
            tokio::task::yield_now().await;
        }
    }
}
