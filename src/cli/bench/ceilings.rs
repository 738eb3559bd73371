//! `weir bench ceilings`: what the machine can do at most.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use super::args::CeilingsArgs;
use super::host::host;
use super::sink::READY;
use crate::bench::Latencies;
use crate::bench::bare::disk::{Sync, sync_times, write_rate};
use crate::bench::bare::threads::round_trips;
use crate::bench::bare::transport::{Form, Transport};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Cell, Column, Table, print, print_document};
use crate::cli::progress::Progress;
use crate::cli::signals::Signals;
use crate::env::{Clock, RealClock, RealDisk};

/// Records a second of the ceiling at a steady rate: that of `weir bench latency` without `--rate`.
const OPEN_RATE: f64 = 5_000.0;

/// What was measured, in the words of its table row.
struct Ceiling {
    name: &'static str,
    what: &'static str,
    figure: Figure,
}

enum Figure {
    /// Bytes a second.
    Bytes(f64),
    /// Messages a second.
    Messages(f64),
    /// Times of one each.
    Times(Latencies),
}

/// Runs `weir bench ceilings`.
pub(super) async fn run(context: &Context, args: &CeilingsArgs) -> Result<Exit, Failure> {
    let mut signals = Signals::caught();
    let ceilings = tokio::select! {
        ceilings = measure(context, args) => ceilings?,
        exit = signals.next() => return Ok(exit),
    };
    match context.global.json {
        true => {
            let ceilings: Vec<Value> = ceilings.iter().map(Ceiling::as_json).collect();
            let fields = [("host".to_owned(), host()), ("ceilings".to_owned(), json!(ceilings))];
            print_document("bench ceilings", Map::from_iter(fields))?;
        }
        false => print(table(&ceilings).print())?,
    }
    Ok(Exit::Done)
}

async fn measure(context: &Context, args: &CeilingsArgs) -> Result<Vec<Ceiling>, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(RealClock::new());
    let sink = start_sink().await?;
    let bare = Transport::connect(sink.port, clock.clone()).await?;
    let time = args.duration;
    let mut progress = Progress::new(context.monotonic(), context.global.quiet);
    let mut found = Vec::new();
    let mut note = |name, what, figure| {
        found.push(Ceiling { name, what, figure });
        progress.tick(context.monotonic(), || format!("{name} is measured; {} of 11", found.len()));
    };
    note("T raw", "1 MiB messages in", Figure::Bytes(bare.rate_in(Form::Raw, time).await?));
    note("T codec", "1 MiB messages in, by the codec", Figure::Bytes(bare.rate_in(Form::Codec, time).await?));
    note("R raw", "1 MiB messages out", Figure::Bytes(bare.rate_out(Form::Raw, time).await?));
    note(
        "R codec",
        "1 MiB messages out, by the codec",
        Figure::Bytes(bare.rate_out(Form::Codec, time).await?),
    );
    note("small", "100 B messages in, each answered", Figure::Messages(bare.small_rate(time).await?));
    note("stream", "a 100 B message and its answer", Figure::Times(bare.stream_times(time).await?));
    let open = bare.open_times(OPEN_RATE, time).await?;
    note("open", "the same, 5,000 a second, from due", Figure::Times(open));
    note("unary", "a 100 B call and its answer", Figure::Times(bare.unary_times(time).await?));
    drop((bare, sink));
    for (name, what, figure) in of_machine(&args.dir, &*clock, time)? {
        note(name, what, figure);
    }
    drop(progress);
    Ok(found)
}

type Measured = (&'static str, &'static str, Figure);

/// What needs no transport.
fn of_machine(folder: &Path, clock: &dyn Clock, time: std::time::Duration) -> Result<[Measured; 4], Failure> {
    let disk = RealDisk::new();
    let wrong = |error| Failure::failed(format!("--dir {}: {error}", folder.display()));
    let page_cache = write_rate(&disk, folder, clock, (Sync::Never, time)).map_err(wrong)?;
    let sustained = write_rate(&disk, folder, clock, (Sync::Behind, time)).map_err(wrong)?;
    let syncs = sync_times(&disk, folder, clock, time).map_err(wrong)?;
    let trips = round_trips(clock, time).map_err(|error| Failure::failed(format!("no thread: {error}")))?;
    Ok([
        ("P", "1 MiB writes, growing file", Figure::Bytes(page_cache)),
        ("S", "the same, on the disk every 8 MiB", Figure::Bytes(sustained)),
        ("F", "a 4 KiB write and its sync, growing file", Figure::Times(syncs)),
        ("H", "to another thread and back", Figure::Times(trips)),
    ])
}

/// This program as the other end; it ends with this value.
struct Sink {
    port: u16,
    _child: Child,
    /// It ends when nobody reads that any more.
    _stdout: BufReader<ChildStdout>,
}

async fn start_sink() -> Result<Sink, Failure> {
    let wrong = |what: String| Failure::failed(format!("the other end of bare transport: {what}"));
    let program = std::env::current_exe().map_err(|error| wrong(error.to_string()))?;
    let mut command = Command::new(program);
    command
        .args(["bench", "ceilings", "--sink"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| wrong(error.to_string()))?;
    let stdout = child.stdout.take().ok_or_else(|| wrong("it has no stdout".to_owned()))?;
    let (mut stdout, mut line) = (BufReader::new(stdout), String::new());
    stdout.read_line(&mut line).await.map_err(|error| wrong(error.to_string()))?;
    let port = line.strip_prefix(READY).and_then(|port| port.trim().parse().ok());
    let port = port.ok_or_else(|| wrong(format!("it said '{line}'")))?;
    Ok(Sink { port, _child: child, _stdout: stdout })
}

fn table(ceilings: &[Ceiling]) -> Table {
    let columns = [
        Column::Left("CEILING"),
        Column::Left("OF"),
        Column::Right("MIB/S"),
        Column::Right("MESSAGES/S"),
        Column::Right("P50 MS"),
        Column::Right("P99 MS"),
    ];
    let mut table = Table::new(&columns);
    for ceiling in ceilings {
        let nothing = || Cell::Text("-".to_owned());
        let [bytes, messages, p50, p99] = match &ceiling.figure {
            Figure::Bytes(rate) => [Cell::Rate(rate / f64::from(1 << 20)), nothing(), nothing(), nothing()],
            Figure::Messages(rate) => [nothing(), Cell::Rate(*rate), nothing(), nothing()],
            Figure::Times(times) => [nothing(), nothing(), millis(times, 0.5), millis(times, 0.99)],
        };
        table.row([
            Cell::Text(ceiling.name.to_owned()),
            Cell::Text(ceiling.what.to_owned()),
            bytes,
            messages,
            p50,
            p99,
        ]);
    }
    table
}

fn millis(times: &Latencies, share: f64) -> Cell {
    let time = times.percentile(share).unwrap_or_default();
    Cell::Text(format!("{:.3}", time.as_secs_f64() * 1e3))
}

impl Ceiling {
    fn as_json(&self) -> Value {
        let micros =
            |times: &Latencies, share| times.percentile(share).map(|time| time.as_nanos() as f64 / 1e3);
        let (bytes, messages, times) = match &self.figure {
            Figure::Bytes(rate) => (Some(*rate), None, None),
            Figure::Messages(rate) => (None, Some(*rate), None),
            Figure::Times(times) => (None, None, Some(times)),
        };
        json!({
            "name": self.name,
            "of": self.what,
            "bytes_per_second": bytes,
            "messages_per_second": messages,
            "p50_us": times.and_then(|times| micros(times, 0.5)),
            "p99_us": times.and_then(|times| micros(times, 0.99)),
        })
    }
}
