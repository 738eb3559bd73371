//! A connection between its accept and the door that serves it: counted, and told by its first bytes whether it carries gRPC or
//! HTTP/1.1, which leaves the bytes where they are.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::windows::{Admission, Windows};
use crate::env::Clock;
use crate::env::clock::Sleep;
use crate::metrics::{Counters, Protocol};

/// Time that a peer has for its first bytes: all of HTTP/2's preface, or enough to tell that it is none. Without it a peer that is
/// silent keeps its place for ever, and holds a stop up to its deadline (hyper issue 4170).
const FIRST_BYTES_WAIT: Duration = Duration::from_secs(5);

/// How HTTP/2's preface begins, and no request of HTTP/1.1 that anybody answers.
const PREFACE_START: &[u8; 4] = b"PRI ";

/// Time between two looks at a peer whose first bytes came one by one.
const NEXT_LOOK: Duration = Duration::from_millis(20);

/// What a connection takes of what there is; given back when it is closed.
pub struct Place {
    _permit: OwnedSemaphorePermit,
    admission: Admission,
    counted: Option<(Arc<Counters>, Protocol)>,
}

impl Place {
    /// Counts it as a connection that speaks `protocol`.
    fn count(&mut self, counters: Arc<Counters>, protocol: Protocol) {
        counters.accepted(protocol).increment();
        counters.connections(protocol).enter();
        self.counted = Some((counters, protocol));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((counters, protocol)) = &self.counted {
            counters.connections(*protocol).leave();
        }
    }
}

/// A connection that was accepted: it can go to another thread.
pub struct Accepted {
    socket: std::net::TcpStream,
    place: Place,
}

impl Accepted {
    /// Takes a connection off the runtime that accepted it; what it takes is given back when it is closed.
    ///
    /// Errors: the socket can't be set up.
    pub fn new(socket: TcpStream, permit: OwnedSemaphorePermit, admission: Admission) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        Ok(Self { socket: socket.into_std()?, place: Place { _permit: permit, admission, counted: None } })
    }

    /// Puts it on the runtime that serves it.
    ///
    /// Errors: the runtime can't watch another socket.
    pub fn arrive(self, clock: &dyn Clock) -> io::Result<Arrived> {
        let silence = clock.sleep(FIRST_BYTES_WAIT);
        Ok(Arrived { socket: TcpStream::from_std(self.socket)?, place: self.place, silence })
    }
}

/// A connection on its shard, nothing of which was read.
pub struct Arrived {
    pub(super) socket: TcpStream,
    pub(super) place: Place,
    /// Ends when the peer has been silent too long.
    pub(super) silence: Sleep,
}

impl Arrived {
    /// The windows that it was given.
    pub fn windows(&self) -> Windows {
        self.place.admission.windows
    }

    /// Waits for the first bytes, says what they are the beginning of, and counts the connection.
    ///
    /// Errors: the peer left, or was silent too long.
    pub async fn greet(&mut self, clock: &dyn Clock, counters: &Arc<Counters>) -> io::Result<Protocol> {
        let protocol = tokio::select! {
            protocol = spoken(&self.socket, clock) => protocol?,
            () = &mut self.silence => return Err(io::ErrorKind::TimedOut.into()),
        };
        self.place.count(counters.clone(), protocol);
        Ok(protocol)
    }

    /// The socket and its place without the memory that only HTTP/2 needs.
    pub fn into_http(mut self) -> (TcpStream, Place) {
        self.place.admission.narrow();
        (self.socket, self.place)
    }
}

async fn spoken(socket: &TcpStream, clock: &dyn Clock) -> io::Result<Protocol> {
    let mut first = [0; PREFACE_START.len()];
    loop {
        let seen = socket.peek(&mut first).await?;
        match &first[..seen] {
            [] => return Err(io::ErrorKind::UnexpectedEof.into()),
            bytes if bytes == PREFACE_START => return Ok(Protocol::Grpc),
            // WHY: hyper dates what it answers, and ends the process when the year is before 1970.
            bytes if !PREFACE_START.starts_with(bytes) && clock.now_ms() <= 0 => {
                tracing::warn!("HTTP/1.1 is not served while the clock stands before 1970: set it");
                return Err(io::ErrorKind::Unsupported.into());
            }
            bytes if !PREFACE_START.starts_with(bytes) => return Ok(Protocol::Http),
            // WHY not at once: bytes that were looked at keep the socket readable.
            _ => clock.sleep(NEXT_LOOK).await,
        }
    }
}

/// Resolves when the door stops.
pub(super) async fn stopped(mut stopping: watch::Receiver<bool>) {
    // A sender that is gone has stopped.
    let _ = stopping.wait_for(|stops| *stops).await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::env::{RealClock, SimClock};

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener.accept().await.unwrap().0, peer)
    }

    async fn told(pieces: &[&[u8]]) -> io::Result<Protocol> {
        let (mut socket, mut peer) = pair().await;
        let clock = RealClock::new();
        let sends = async {
            for piece in pieces {
                peer.write_all(piece).await.unwrap();
                clock.sleep(NEXT_LOOK * 2).await;
            }
            peer.shutdown().await.unwrap();
        };
        let (protocol, ()) = tokio::join!(spoken(&socket, &clock), sends);
        let mut all = Vec::new();
        socket.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, pieces.concat(), "nothing was taken");
        protocol
    }

    #[tokio::test]
    async fn the_first_bytes_tell_what_is_spoken_however_they_come() {
        let preface: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        for (pieces, protocol) in [
            (vec![preface], Protocol::Grpc),
            (vec![b"P".as_slice(), b"R", b"I", b" *"], Protocol::Grpc),
            (vec![b"GET /metrics HTTP/1.1\r\n".as_slice()], Protocol::Http),
            (vec![b"P".as_slice(), b"OST / HTTP/1.1"], Protocol::Http),
            (vec![b"PR".as_slice(), b"OPFIND /"], Protocol::Http),
            (vec![b"\0\0\0".as_slice()], Protocol::Http),
        ] {
            assert_eq!(told(&pieces).await.ok(), Some(protocol), "{pieces:?}");
        }
        assert!(told(&[]).await.is_err(), "it left without a word");
    }

    #[tokio::test]
    async fn http_waits_for_a_clock_that_is_after_1970() {
        let (socket, mut peer) = pair().await;
        peer.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        assert!(spoken(&socket, &SimClock::new(0)).await.is_err());
        assert_eq!(spoken(&socket, &SimClock::new(1)).await.ok(), Some(Protocol::Http));
    }
}
