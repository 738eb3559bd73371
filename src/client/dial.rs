//! Opens the TCP connection to a broker.

use std::io;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::env::frame_follower::FrameFollower;
use crate::env::socket::FrameSocket;

/// Connects to the host and port of `broker`, trying its addresses one after the other.
///
/// Errors: no address has a listener, or the name has no address.
pub(super) async fn dial(broker: Uri) -> io::Result<TokioIo<FrameSocket>> {
    let nowhere = || io::Error::new(io::ErrorKind::InvalidInput, "the address names no host and port");
    let (host, port) = broker.host().zip(broker.port_u16()).ok_or_else(nowhere)?;
    // An IPv6 address stands in brackets there, but not here.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let socket = TcpStream::connect((host, port)).await?;
    socket.set_nodelay(true)?;
    Ok(TokioIo::new(FrameSocket::new(socket, FrameFollower::of_server())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_and_bracketed_addresses_are_found() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            dial(format!("http://{host}:{port}").parse().unwrap()).await.expect(host);
        }
        assert!(dial(Uri::from_static("/path")).await.is_err());
    }
}
