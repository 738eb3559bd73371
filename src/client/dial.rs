//! Opens the TCP connection to a broker.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::env::Clock;
use crate::env::frame_follower::FrameFollower;
use crate::env::socket::FrameSocket;

/// How long one broker of several may take to answer, so that the next one has its turn.
#[derive(Clone)]
pub(super) struct Patience {
    pub(super) each: Duration,
    pub(super) clock: Arc<dyn Clock>,
}

/// Connects to the first of `brokers`, each `host:port`, that takes it; tries all addresses of a name.
///
/// Errors: nobody listens, or a name has no address; of several brokers what the last one said.
pub(super) async fn dial(brokers: Arc<[String]>, patience: Patience) -> io::Result<TokioIo<FrameSocket>> {
    let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "no broker is named");
    for broker in &*brokers {
        let connected = tokio::select! {
            connected = connect(broker) => connected,
            () = patience.clock.sleep(patience.each) => Err(io::ErrorKind::TimedOut.into()),
        };
        match connected {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

async fn connect(broker: &str) -> io::Result<TokioIo<FrameSocket>> {
    let nowhere = || io::Error::new(io::ErrorKind::InvalidInput, "the address names no host and port");
    let (host, port) = broker.rsplit_once(':').ok_or_else(nowhere)?;
    let port: u16 = port.parse().map_err(|_| nowhere())?;
    // An IPv6 address stands in brackets there, but not here.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let socket = TcpStream::connect((host, port)).await?;
    socket.set_nodelay(true)?;
    Ok(TokioIo::new(FrameSocket::new(socket, FrameFollower::of_server())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::RealClock;

    async fn dialed(brokers: &[String]) -> bool {
        let patience = Patience { each: Duration::from_secs(60), clock: Arc::new(RealClock::new()) };
        dial(brokers.into(), patience).await.is_ok()
    }

    #[tokio::test]
    async fn names_and_bracketed_addresses_are_found() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            assert!(dialed(&[format!("{host}:{port}")]).await, "{host}");
        }
        assert!(!dialed(&["path".to_owned()]).await);
    }

    #[tokio::test]
    async fn the_first_broker_that_takes_it_is_taken() {
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let there = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let brokers = [gone, there.local_addr().unwrap()].map(|address| address.to_string());
        assert!(dialed(&brokers).await, "the second one listens");
        assert!(!dialed(&[gone.to_string(), gone.to_string()]).await);
    }
}
