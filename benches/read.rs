//! Reads of 1 MiB from a log in the page cache, against `pread` of the same bytes into a buffer that is kept.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::hint::black_box;
use std::rc::Rc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Builder;
use weir::base::Offset;
use weir::config::FlushMode;
use weir::env::disk::read_full_at;
use weir::log::Wait;
use weir::record::ValidBatch;

use crate::case::{Case, Scale, Work, repeat, time};
use crate::disk::{Store, batch};

/// Batches of a read: as many as 1 MiB holds.
const READ_BATCHES: u64 = 64;
const BATCH_BYTES: usize = (1 << 20) / READ_BATCHES as usize;

/// A log of one sealed and one active segment of the same size, filled when it is first used.
struct Filled {
    batch: ValidBatch,
    /// How often each segment can be read from.
    read_count: u64,
    store: OnceCell<Store>,
}

impl Filled {
    fn read_bytes(&self) -> usize {
        self.batch.total_bytes() * READ_BATCHES as usize
    }

    /// Offsets of one read.
    fn step(&self) -> Offset {
        Offset::from(self.batch.record_count()) * READ_BATCHES as Offset
    }

    fn store(&self) -> &Store {
        self.store.get_or_init(|| {
            let store = Store::new(FlushMode::Os, self.read_count * self.read_bytes() as u64);
            let runtime = Builder::new_current_thread().build().expect("a runtime without drivers");
            for _ in 0..2 * self.read_count * READ_BATCHES {
                runtime.block_on(store.log.append(self.batch.clone())).expect("the disk works");
            }
            assert_eq!(store.log.size().segment_count, 2, "one is sealed");
            store
        })
    }
}

/// From the sealed and from the active segment.
pub(crate) fn cases(scale: Scale) -> Vec<Case> {
    let read_count = if scale == Scale::Full { 32 } else { 2 };
    let filled = Rc::new(Filled { batch: batch(BATCH_BYTES), read_count, store: OnceCell::new() });
    let case = |name, figure| {
        let (bytes, ceiling) = (filled.read_bytes() as u64, pread(filled.clone()));
        Case { name, bytes, figure, ceiling_name: "pread", ceiling }
    };
    vec![
        case("read 1 MiB, sealed segment", read(filled.clone(), 0)),
        case("read 1 MiB, active segment", read(filled.clone(), 1)),
        newest(),
    ]
}

/// The batch that was appended last, as everybody who tails a partition reads it, against the same bytes kept in memory.
fn newest() -> Case {
    let batch = batch(1_200);
    let bytes = batch.total_bytes();
    let kept = Mutex::new(VecDeque::from([Bytes::from(vec![1u8; bytes])]));
    let ceiling = repeat(move || drop(black_box(kept.lock().back().cloned())));
    let store = OnceCell::new();
    let figure = Box::new(move |count| {
        let store: &Store = store.get_or_init(|| Store::new(FlushMode::Os, 1 << 20));
        let runtime = Builder::new_current_thread().build().expect("a runtime without drivers");
        for _ in 0..100 {
            runtime.block_on(store.log.append(batch.clone())).expect("the disk works");
        }
        let until = store.log.offsets().high_watermark;
        let from = until - Offset::from(batch.record_count());
        time(|| {
            for _ in 0..count {
                let slice = store.log.read(from, until, 1 << 20, Wait::Never).expect("the bytes are sound");
                assert_eq!(black_box(slice).bytes.len(), bytes, "one batch");
            }
        })
    });
    Case {
        name: "read the newest batch, 1 KiB",
        bytes: bytes as u64,
        figure,
        ceiling_name: "kept in memory",
        ceiling,
    }
}

/// Reads one segment of the two over and over.
fn read(filled: Rc<Filled>, segment: u64) -> Work {
    let mut turn = 0;
    Box::new(move |count| {
        let store = filled.store();
        let until = store.log.offsets().high_watermark;
        time(|| {
            for _ in 0..count {
                let from = (segment * filled.read_count + turn) as Offset * filled.step();
                let slice = store.log.read(from, until, filled.read_bytes(), Wait::Allowed);
                let slice = black_box(slice.expect("the bytes are sound"));
                assert_eq!(slice.bytes.len(), filled.read_bytes(), "as many whole batches as fit");
                turn = (turn + 1) % filled.read_count;
            }
        })
    })
}

fn pread(filled: Rc<Filled>) -> Work {
    let mut buffer = vec![0u8; filled.read_bytes()];
    let mut turn = 0;
    Box::new(move |count| {
        let file = filled.store().first_segment();
        time(|| {
            for _ in 0..count {
                let position = turn * buffer.len() as u64;
                let got = read_full_at(&*file, &mut buffer, position).expect("the disk works");
                assert_eq!(got, black_box(&buffer).len(), "the segment is full");
                turn = (turn + 1) % filled.read_count;
            }
        })
    })
}
