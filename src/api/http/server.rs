//! One connection of HTTP/1.1 and its limits.

use std::convert::Infallible;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::pages::answer;
use crate::api::arrival::{Place, stopped};
use crate::api::connection::FAREWELL_WAIT;
use crate::api::door::Door;

/// Time for the whole head of a request; a connection without a request is closed after it as well.
const HEAD_WAIT: Duration = Duration::from_secs(5);

/// Largest head of a request, which is the least that hyper takes, and most header lines in it.
const HEAD_BYTES_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 64;

/// After that the connection is closed behind the answer that is under way, so that a peer that does not read its answer holds its
/// memory no longer; others connect again.
const AGE_MAX: Duration = Duration::from_secs(2 * 60);

/// Serves a connection to its end, or to the stop of the door.
///
/// Cost: a buffer of [`HEAD_BYTES_MAX`] and the answer.
pub async fn serve(door: Door, (socket, place): (TcpStream, Place)) {
    let _place = place;
    let clock = door.broker.env().clock.clone();
    let service = service_fn(|request| {
        let door = door.clone();
        async move { Ok::<_, Infallible>(answer(&door, &request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(socket), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        end = &mut connection => return note(end),
        () = stopped(door.stopping.clone()) => {}
        () = clock.sleep(AGE_MAX) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        end = connection => note(end),
        () = clock.sleep(FAREWELL_WAIT) => {}
    }
}

/// What a peer does wrong is its own affair.
fn note(end: Result<(), hyper::Error>) {
    if let Err(error) = end {
        tracing::debug!(%error, "a connection of HTTP/1.1 ended with an error");
    }
}
