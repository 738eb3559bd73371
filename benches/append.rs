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
    let pwrite = "pwrite, growing file";
    let flushed = "pwrite + fdatasync";
    let shared = "64 pwrite + 1 fdatasync";
    vec![
        case("append 16 KiB, no flush", 16 << 10, append(FlushMode::Os, 64), pwrite, write(0)),
        case("append 1 MiB, no flush", large, append(FlushMode::Os, 8), pwrite, write(0)),
        case("append 16 KiB, flush, 1 in flight", 16 << 10, append(FlushMode::Ack, 1), flushed, write(1)),
        case("append 16 KiB, flush, 64 in flight", 16 << 10, append(FlushMode::Ack, 64), shared, write(64)),
    ]
}

type WorkOn = Box<dyn FnOnce(ValidBatch) -> Work>;

fn case(
    name: &'static str,
    batch_bytes: usize,
    figure: WorkOn,
    ceiling_name: &'static str,
    ceiling: WorkOn,
) -> Case {
    let batch = batch(batch_bytes);
    let bytes = batch.total_bytes() as u64;
    Case { name, bytes, figure: figure(batch.clone()), ceiling_name, ceiling: ceiling(batch) }
}

/// Appends with at most `in_flight` batches not answered.
fn append(flush: FlushMode, in_flight: usize) -> WorkOn {
    Box::new(move |batch| {
        let runtime = Builder::new_current_thread().build().expect("a runtime without drivers");
        in_bursts(
            batch.total_bytes() as u64,
            move || Store::new(flush, SEGMENT_BYTES),
            move |store, count| time(|| append_all(&runtime, store, &batch, count, in_flight)),
        )
    })
}

fn append_all(runtime: &Runtime, store: &Store, batch: &ValidBatch, count: u64, in_flight: usize) {
    runtime.block_on(async {
        let mut waiting = VecDeque::with_capacity(in_flight);
        for _ in 0..count {
            if waiting.len() == in_flight {
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

/// Writes at the end of a growing file, with a sync after each `sync_every`; 0: none.
fn write(sync_every: u64) -> WorkOn {
    Box::new(move |batch| {
        let bytes = batch.to_bytes();
        in_bursts(bytes.len() as u64, GrowingFile::new, move |file, count| {
            time(|| {
                for done in 1..=count {
                    file.write(&bytes);
                    if sync_every > 0 && (done % sync_every == 0 || done == count) {
                        file.file.sync_data().expect("the disk works");
                    }
                }
            })
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
