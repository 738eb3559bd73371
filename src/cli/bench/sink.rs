//! `weir bench ceilings --sink`: the other end of bare transport, in a process of its own as a broker is.

use tokio::net::TcpListener;

use crate::bench::bare::sink::serve;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::print;
use crate::cli::signals::Signals;

/// What comes before the port on stdout.
pub(super) const READY: &str = "sink on 127.0.0.1:";

/// Serves until a signal.
pub(super) async fn run(context: &Context) -> Result<Exit, Failure> {
    let mut signals = Signals::caught();
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.map_err(|error| Failure::failed(format!("no port is free: {error}")))?;
    let port = listener.local_addr().map_or(0, |address| address.port());
    print(format!("{READY}{port}\n"))?;
    tokio::select! {
        () = serve(listener) => unreachable!("it serves for ever"),
        // Whoever started it has gone.
        () = context.reader_gone() => Ok(Exit::Done),
        _ = signals.next() => Ok(Exit::Done),
    }
}
