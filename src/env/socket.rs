//! A TCP connection that carries HTTP/2: whoever waits for the rest of a large frame is woken once, when it is there.
//!
//! WHY: a receiver that is woken for each segment of a frame of 1 MiB does nothing with it but sleep again, and each of
//! these sleeps costs both sides more than the bytes do.
#![allow(unsafe_code)]

use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::frame_follower::FrameFollower;

/// A connection whose reader takes whole frames. The end of the connection and its errors wake the reader at any mark.
#[derive(Debug)]
pub struct FrameSocket {
    socket: TcpStream,
    follower: FrameFollower,
    /// What the kernel was told last.
    mark: usize,
    is_impatient: bool,
}

impl FrameSocket {
    /// A connection of which nothing was read yet; `follower` fits the side that the bytes come from.
    pub fn new(socket: TcpStream, follower: FrameFollower) -> Self {
        Self { socket, follower, mark: 1, is_impatient: false }
    }

    /// The connection below.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// From now on every byte wakes the reader: it wants to know that there is a peer.
    ///
    /// Errors: those of the socket.
    pub fn wake_at_any_byte(&mut self) -> io::Result<()> {
        self.is_impatient = true;
        self.set_mark(1)
    }

    fn set_mark(&mut self, mark: usize) -> io::Result<()> {
        if mark != self.mark {
            set_low_water_mark(&self.socket, mark)?;
            self.mark = mark;
        }
        Ok(())
    }
}

/// Sets how many bytes must be there before the socket counts as readable. The kernel wakes a waiting reader at once
/// where they are, caps the mark at half of the largest receive buffer, and ignores it when memory is short.
fn set_low_water_mark(socket: &TcpStream, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is open as long as `socket` is borrowed; the kernel reads one `c_int` at the address given.
    let code = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            std::ptr::from_ref(&bytes).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl AsyncRead for FrameSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.socket).poll_read(cx, buf) {
            self.follower.take(&buf.filled()[before..]);
            return Poll::Ready(read);
        }
        // Only who is about to sleep needs a mark.
        if !self.is_impatient {
            let mark = self.follower.mark();
            self.set_mark(mark)?;
        }
        Poll::Pending
    }
}

impl AsyncWrite for FrameSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    async fn pair() -> (FrameSocket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        peer.set_nodelay(true).unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        (FrameSocket::new(socket, FrameFollower::of_server()), peer)
    }

    fn header(length: u32) -> Vec<u8> {
        [&length.to_be_bytes()[1..], &[0; 6]].concat()
    }

    async fn read(socket: &mut FrameSocket) -> usize {
        let mut buf = vec![0; 2 << 20];
        timeout(LONG, socket.read(&mut buf)).await.expect("the reader is woken").unwrap()
    }

    /// Reads that must not come to an end while the peer sends nothing more.
    async fn read_nothing(socket: &mut FrameSocket) {
        let mut buf = [0; 1 << 10];
        let read = timeout(Duration::from_millis(100), socket.read(&mut buf)).await;
        assert!(read.is_err(), "read {read:?}");
    }

    #[tokio::test]
    async fn the_rest_of_a_large_frame_wakes_the_reader_once() {
        let (mut socket, mut peer) = pair().await;
        peer.write_all(&header(1 << 20)).await.unwrap();
        assert_eq!(read(&mut socket).await, 9);
        read_nothing(&mut socket).await;
        assert_eq!(socket.mark, 1 << 20);
        let sent = tokio::spawn(async move {
            for _ in 0..64 {
                peer.write_all(&[0; 16 << 10]).await.unwrap();
                tokio::task::yield_now().await;
            }
            peer
        });
        assert_eq!(read(&mut socket).await, 1 << 20, "all of it at once");
        let mut peer = sent.await.unwrap();
        read_nothing(&mut socket).await;
        assert_eq!(socket.mark, 1);
        peer.write_all(&[0]).await.unwrap();
        assert_eq!(read(&mut socket).await, 1);
    }

    #[tokio::test]
    async fn a_frame_that_never_ends_hides_neither_the_end_of_the_connection_nor_a_byte_when_it_is_asked_for()
    {
        for has_more in [true, false] {
            let (mut socket, mut peer) = pair().await;
            peer.write_all(&header(0xff_ffff)).await.unwrap();
            assert_eq!(read(&mut socket).await, 9);
            read_nothing(&mut socket).await;
            peer.write_all(&[0; 100]).await.unwrap();
            if has_more {
                read_nothing(&mut socket).await;
                socket.wake_at_any_byte().unwrap();
            } else {
                drop(peer);
            }
            assert_eq!(read(&mut socket).await, 100);
            if !has_more {
                assert_eq!(read(&mut socket).await, 0, "the end");
            }
        }
    }
}
