//! Appends to a log on the disk, without and with a flush before the answer, against bare writes of the same bytes.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use weir::config::FlushMode;
use weir::log::Ticket;
use weir::record::ValidBatch;

use crate::case::{Case, Scale, Work, time};
use crate::disk::{GrowingFile, Store, batch};

/// Bytes after which a fresh log, or file, is begun. WHY below 64 MiB: there every log is synced in the background, and what is
/// measured would be the disk.
const BURST_BYTES: u64 = 48 << 20;
const SEGMENT_BYTES: u64 = 1 << 30;

/// Without a flush by batch size, with one by batches in flight.
pub(crate) fn cases(scale: Scale) -> Vec<Case> {
    let large = if scale == Scale::Full { 1 << 20 } else { 64 << 10 };
    let write = "pwrite, growing file";
    let write_and_sync = "pwrite + fdatasync";
    let group = "64 pwrite + 1 fdatasync";
    let small = 16 << 10;
    vec![
        case("append 16 KiB, no flush", small, Load::new(FlushMode::Os, 1, 64), write),
        case("append 1 MiB, no flush", large, Load::new(FlushMode::Os, 1, 8), write),
        case("append 16 KiB, flush, 1 in flight", small, Load::new(FlushMode::Ack, 1, 1), write_and_sync),
        case("append 64 x 16 KiB, flush, 64 in flight", small, Load::new(FlushMode::Ack, 64, 64), group),
    ]
}

/// How batches are sent.
#[derive(Clone, Copy)]
struct Load {
    flush: FlushMode,
    /// Batches of one operation.
    batches: u64,
    /// Batches that are not answered yet, at most.
    in_flight: usize,
}

impl Load {
    fn new(flush: FlushMode, batches: u64, in_flight: usize) -> Self {
        Self { flush, batches, in_flight }
    }
}

fn case(name: &'static str, batch_bytes: usize, load: Load, ceiling_name: &'static str) -> Case {
    let batch = batch(batch_bytes);
    let bytes = batch.total_bytes() as u64 * load.batches;
    let ceiling = write(load, &batch);
    Case { name, bytes, figure: append(load, batch), ceiling_name, ceiling }
}

fn append(load: Load, batch: ValidBatch) -> Work {
    let runtime = Builder::new_current_thread().build().expect("a runtime without drivers");
    in_bursts(
        batch.total_bytes() as u64 * load.batches,
        move || Store::new(load.flush, SEGMENT_BYTES),
        move |store, count| time(|| append_all(&runtime, store, &batch, load, count)),
    )
}

fn append_all(runtime: &Runtime, store: &Store, batch: &ValidBatch, load: Load, count: u64) {
    runtime.block_on(async {
        let mut waiting = VecDeque::with_capacity(load.in_flight);
        for _ in 0..count * load.batches {
            if waiting.len() == load.in_flight {
                answer(store, &mut waiting).await;
            }
            waiting.push_back(store.log.append(batch.clone()));
        }
        while !waiting.is_empty() {
            answer(store, &mut waiting).await;
        }
    });
}

/// Waits for the oldest append: written, and committed as the topic asks.
async fn answer(store: &Store, waiting: &mut VecDeque<Ticket>) {
    let ticket = waiting.pop_front().expect("the caller looked");
    let appended = ticket.await.expect("the disk works");
    store.log.wait_high_watermark(appended.last_offset + 1).await.expect("the disk works");
}

/// Writes the same batches at the end of a growing file; with a flush, one sync for each operation.
fn write(load: Load, batch: &ValidBatch) -> Work {
    let bytes = batch.to_bytes();
    in_bursts(bytes.len() as u64 * load.batches, GrowingFile::new, move |file, count| {
        time(|| {
            for _ in 0..count {
                (0..load.batches).for_each(|_| file.write(&bytes));
                if load.flush == FlushMode::Ack {
                    file.file.sync_data().expect("the disk works");
                }
            }
        })
    })
}

/// Work on something that is made anew, off the clock, when it has taken [`BURST_BYTES`].
fn in_bursts<T: 'static>(
    bytes: u64,
    make: impl Fn() -> T + 'static,
    mut run: impl FnMut(&mut T, u64) -> Duration + 'static,
) -> Work {
    let per_burst = BURST_BYTES / bytes;
    let mut current: Option<(T, u64)> = None;
    Box::new(move |mut count| {
        let mut took = Duration::ZERO;
        while count > 0 {
            let (target, left) = current.get_or_insert_with(|| (make(), per_burst));
            let now = count.min(*left);
            took += run(target, now);
            *left -= now;
            count -= now;
            if *left == 0 {
                current = None;
            }
        }
        took
    })
}
