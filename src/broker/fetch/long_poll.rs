//! Reading several partitions at once: bounded by bytes, parked until there is enough or the time is over.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::pause::{Wake, pause};
use super::reader::{Limit, Read, Reader};
use super::reply_bounds::{Entry, REPLY_BYTES_MAX, ReplyBounds, entry_bytes};
use crate::base::budget::Debit;
use crate::base::limits::FETCH_WAIT_MS_MAX;
use crate::base::{Error, Offset};
use crate::broker::Broker;
use crate::broker::request::{FetchReply, FetchRequest, FetchedPartition, Form, RefusedItem};
use crate::env::rule::Rule;

/// Reads all partitions of the request, in its order; waits while there is less than `min_bytes` and nothing to report.
///
/// Errors of single partitions are items of the reply and end the waiting; so does `stopping` when it becomes true.
pub async fn fetch(
    broker: &Arc<Broker>,
    request: FetchRequest,
    mut stopping: watch::Receiver<bool>,
) -> FetchReply {
    let wait_ms = request.max_wait_ms.clamp(0, FETCH_WAIT_MS_MAX);
    let call = Call::open(broker, request).await;
    let mut deadline = (wait_ms > 0).then(|| broker.env().clock.sleep(Duration::from_millis(wait_ms as u64)));
    let mut is_last = deadline.is_none();
    loop {
        let pass = call.read(broker).await;
        if is_last || call.is_enough(&pass) {
            return call.reply(broker, pass);
        }
        let marks = pass.marks.clone();
        drop(pass);
        let places =
            call.readers.iter().zip(marks).map(|((_, reader), mark)| (&**reader.partition(), mark + 1));
        is_last = !matches!(pause(places, deadline.as_mut(), &mut stopping).await, Wake::More);
    }
}

/// After so many partitions whose next batch does not fit, a reply counts as full: each of them costs the read of a batch.
const IN_VAIN_MAX: usize = 64;

struct Call {
    readers: Vec<(usize, Reader)>,
    refused: Vec<(usize, FetchedPartition)>,
    form: Form,
    min_bytes: usize,
    max_bytes: usize,
}

impl Call {
    async fn open(broker: &Broker, request: FetchRequest) -> Self {
        let max_bytes = request.max_bytes.clamp(1, REPLY_BYTES_MAX);
        let mut call = Self {
            readers: Vec::with_capacity(request.cursors.len()),
            refused: Vec::new(),
            form: request.form,
            min_bytes: request.min_bytes.clamp(1, max_bytes),
            max_bytes,
        };
        for (index, cursor) in request.cursors.into_iter().enumerate() {
            let opened = match cursor {
                Ok(cursor) => Reader::open(broker, cursor).await,
                Err(RefusedItem { topic, partition, error }) => {
                    Err(FetchedPartition { topic, partition, result: Err(error) })
                }
            };
            match opened {
                Ok(reader) => call.readers.push((index, reader)),
                Err(refused) => call.refused.push((index, refused)),
            }
        }
        call
    }

    async fn read(&self, broker: &Broker) -> Pass {
        let mut pass = Pass { bounds: ReplyBounds::new(self.max_bytes), ..Pass::default() };
        for (index, reader) in &self.readers {
            let (mut room, at_least_one) = pass.bounds.next(reader.topic().len(), reader.max_bytes);
            if pass.in_vain >= IN_VAIN_MAX {
                room.asked_bytes = 0;
            }
            let limit = Limit { form: self.form, room, at_least_one };
            let read = reader.read(broker, limit).await;
            pass.put(*index, reader, read);
            // WHY: what is in memory is read without ever waiting, and a request may name thousands of partitions.
            if Rule::GiveWay.holds() {
                tokio::task::yield_now().await;
            }
        }
        pass
    }

    fn is_enough(&self, pass: &Pass) -> bool {
        !self.refused.is_empty() || pass.has_report || pass.bounds.content_bytes() >= self.min_bytes
    }

    /// Entries and readers are in the order of the request; some readers may have no entry.
    fn note_given(&self, broker: &Broker, entries: &[(usize, FetchedPartition)], sizes: &[usize]) {
        let mut readers = self.readers.iter();
        for ((index, entry), size_bytes) in entries.iter().zip(sizes) {
            let reader = readers.find(|(of, _)| of == index);
            if let (Some((_, reader)), Ok(fetched)) = (reader, &entry.result) {
                reader.note_given(broker, fetched, *size_bytes);
            }
        }
    }

    fn reply(self, broker: &Broker, pass: Pass) -> FetchReply {
        let mut bounds = pass.bounds;
        let mut entries = pass.entries;
        self.note_given(broker, &entries, &pass.sizes);
        for (index, refused) in self.refused {
            if bounds.enter(entry_bytes(&refused), 0) != Entry::LeftOut {
                entries.push((index, refused));
            }
        }
        entries.sort_by_key(|(index, _)| *index);
        FetchReply { partitions: entries.into_iter().map(|(_, entry)| entry).collect(), debits: pass.debits }
    }
}

/// One time through all partitions.
#[derive(Default)]
struct Pass {
    bounds: ReplyBounds,
    entries: Vec<(usize, FetchedPartition)>,
    /// Bytes of what each entry holds.
    sizes: Vec<usize>,
    debits: Vec<Debit>,
    /// High watermark that each partition had before it was read.
    marks: Vec<Offset>,
    /// Partitions that were read for nothing, since their next batch did not fit any more.
    in_vain: usize,
    /// There is something to report even without bytes: an error, or offsets that were passed over.
    has_report: bool,
}

impl Pass {
    fn put(&mut self, index: usize, reader: &Reader, read: Result<Read, Error>) {
        let (result, size_bytes) = match read {
            Ok(Read { fetched, size_bytes, debits }) => {
                self.marks.push(fetched.offsets.high_watermark);
                self.debits.extend(debits);
                self.has_report |= fetched.next_offset > reader.offset && size_bytes == 0;
                let has_more = fetched.next_offset < fetched.offsets.high_watermark;
                self.in_vain += usize::from(has_more && size_bytes == 0);
                (Ok(fetched), size_bytes)
            }
            Err(error) => {
                self.marks.push(Offset::MAX - 1);
                self.has_report = true;
                (Err(error), 0)
            }
        };
        let entry = reader.answer(result);
        match self.bounds.enter(entry_bytes(&entry), size_bytes) {
            Entry::Fits => {}
            Entry::FitsAlone => {
                self.entries.clear();
                self.sizes.clear();
            }
            Entry::LeftOut => {
                self.has_report = true;
                return;
            }
        }
        self.entries.push((index, entry));
        self.sizes.push(size_bytes);
    }
}
