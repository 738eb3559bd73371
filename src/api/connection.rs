//! One connection that carries gRPC: closed when its peer does not go on to speak, leaves no window for a reply, or is silent while
//! the door stops.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::arrival::{Arrived, Place, stopped};
use super::door::Door;
use super::under_way::{PATIENCE, UnderWay};
use crate::env::Clock;
use crate::env::clock::Sleep;
use crate::env::frame_follower::{FrameFollower, PREFACE_BYTES};
use crate::env::rule::Rule;
use crate::env::socket::FrameSocket;

/// Time that a peer has for its first word after the door has begun to stop. HTTP/2's farewell holds a ping, so whoever
/// is there answers; without this a peer that is not would hold the stop up to its deadline.
pub(super) const FAREWELL_WAIT: Duration = Duration::from_secs(2);

/// Age of a piece of a reply at which its connection ends. The stream of one that is sent in part is reset before that; what
/// is left has no window, HTTP/2 does not look at its body again, and nothing less gives its memory back. WHY even where
/// other calls go on: a client that reads one of them could hold the memory of all others.
const UNSENT_WAIT: Duration = PATIENCE.saturating_add(Duration::from_secs(5));

type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A served connection.
pub struct Connection {
    socket: FrameSocket,
    /// Ends when the peer has been silent too long; `None` once it has spoken.
    silence: Option<Sleep>,
    /// Whoever sent the preface has begun to speak.
    preface_left: usize,
    /// Resolves when the door stops; `None` after that.
    stop: Option<Stop>,
    farewell_wait: Duration,
    under_way: Arc<UnderWay>,
    /// Ends when the oldest piece may be too old.
    next_look: Option<Sleep>,
    clock: Arc<dyn Clock>,
    _place: Place,
}

impl Connection {
    /// Serves a peer that has begun to speak HTTP/2.
    pub fn new(arrived: Arrived, door: &Door) -> Self {
        let Arrived { socket, place, silence } = arrived;
        let clock = door.broker.env().clock.clone();
        let deadline = Duration::from_millis(door.broker.settings().shutdown_timeout_ms.unsigned_abs());
        Self {
            socket: FrameSocket::new(socket, FrameFollower::of_client()),
            silence: Some(silence),
            preface_left: PREFACE_BYTES,
            stop: Some(Box::pin(stopped(door.stopping.clone()))),
            // Below the deadline, or it would not save the stop.
            farewell_wait: FAREWELL_WAIT.min(deadline / 2),
            under_way: Arc::default(),
            next_look: None,
            clock,
            _place: place,
        }
    }

    /// The address under which the peer found us, where it is still known.
    pub fn local_address(&self) -> Option<std::net::SocketAddr> {
        self.socket.socket().local_addr().ok()
    }

    /// The address of the peer, where it is still known.
    pub fn peer_address(&self) -> Option<std::net::SocketAddr> {
        self.socket.socket().peer_addr().ok()
    }

    /// The pieces of replies that it has not sent.
    pub fn under_way(&self) -> &Arc<UnderWay> {
        &self.under_way
    }

    /// Ready when a piece of a reply is too old.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let oldest = ready!(self.under_way.poll_oldest(cx));
            let left = (oldest + UNSENT_WAIT).saturating_sub(self.clock.monotonic());
            if left.is_zero() {
                return Poll::Ready(());
            }
            ready!(self.next_look.get_or_insert_with(|| self.clock.sleep(left)).as_mut().poll(cx));
            self.next_look = None;
        }
    }

    fn heard(&mut self, bytes: usize) {
        self.preface_left = self.preface_left.saturating_sub(bytes);
        if self.preface_left == 0 {
            self.silence = None;
        }
    }

    /// Once the door stops: the end for a peer that has not asked for anything, and a time to answer for the others.
    fn look_at_stop(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(stop) = self.stop.as_mut().filter(|_| Rule::KeepDeadline.holds()) else { return Ok(()) };
        if stop.as_mut().poll(cx).is_pending() {
            return Ok(());
        }
        self.stop = None;
        if self.preface_left > 0 {
            return Err(silent("the broker stops before the peer has begun to speak"));
        }
        self.silence = Some(self.clock.sleep(self.farewell_wait));
        self.socket.wake_at_any_byte()
    }
}

fn silent(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.socket).poll_read(cx, buf) {
            if self.silence.is_some() {
                let bytes = buf.filled().len() - before;
                self.heard(bytes);
            }
            return Poll::Ready(read);
        }
        self.look_at_stop(cx)?;
        if self.poll_unsent(cx).is_ready() {
            tracing::warn!(
                "a client left no window for a reply for {} s: its connection ends",
                UNSENT_WAIT.as_secs()
            );
            return Poll::Ready(Err(silent("the peer leaves no window for a reply")));
        }
        match &mut self.silence {
            Some(silence) => {
                ready!(silence.as_mut().poll(cx));
                Poll::Ready(Err(silent("the peer does not speak HTTP/2, or does not answer any more")))
            }
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
