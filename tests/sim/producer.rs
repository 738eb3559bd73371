//! Producers: idempotent ones that send again until they are answered, and a plain one that never does.

use std::collections::BTreeMap;

use weir::base::TopicPartition;
use weir::log::{AppendError, Appended};
use weir::record::validate::Rules;
use weir::record::{BatchBuilder, Codec, NewRecord, ProducerFields, ValidBatch};

use crate::call::{Answer, Of};
use crate::event::Event;
use crate::invariants::is_tombstone;
use crate::topics::COMPACTED;
use crate::world::{Stepped, World};

/// Keys of each partition.
const KEYS: u32 = 6;

/// Records of a batch at most.
const BATCH_RECORDS_MAX: usize = 4;

/// What was sent and is not settled.
#[derive(Clone, Debug)]
struct Batch {
    records: Vec<(u32, u64)>,
    base_sequence: i32,
    /// An answer is waited for.
    is_under_way: bool,
    /// An earlier try may be stored.
    may_be_stored: bool,
}

/// A producer.
#[derive(Default)]
pub(super) struct Producer {
    /// `None`: a plain one.
    id: Option<i64>,
    open: BTreeMap<TopicPartition, Batch>,
    sequences: BTreeMap<TopicPartition, i32>,
}

/// Those of a world.
pub(super) fn producers() -> Vec<Producer> {
    let of = |id| Producer { id, ..Producer::default() };
    vec![of(Some(1)), of(Some(2)), of(None)]
}

impl Producer {
    /// Nothing that is under way is answered.
    pub(super) fn lose_connection(&mut self) {
        if self.id.is_none() {
            self.open.clear();
        }
        for batch in self.open.values_mut() {
            batch.may_be_stored |= batch.is_under_way;
            batch.is_under_way = false;
        }
    }

    /// Whether everything is settled.
    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// The topics that are gone.
    pub(super) fn forget(&mut self, place: &TopicPartition) {
        self.open.remove(place);
        self.sequences.remove(place);
    }
}

impl World {
    /// A producer sends to some partition.
    pub(super) fn produce(&mut self) -> Stepped {
        let index = self.below(self.producers.len());
        let places = self.topics.places();
        let (_, place) = places[self.below(places.len())].clone();
        self.send(index, place, true)
    }

    /// Producers send again what is not settled, and nothing new.
    pub(super) fn produce_open(&mut self) -> Stepped {
        for index in 0..self.producers.len() {
            let open: Vec<TopicPartition> = self.producers[index].open.keys().copied().collect();
            open.into_iter().try_for_each(|place| self.send(index, place, false))?;
        }
        Ok(())
    }

    fn send(&mut self, index: usize, place: TopicPartition, may_be_new: bool) -> Stepped {
        if !self.producers[index].open.contains_key(&place) && may_be_new {
            let records = self.new_records();
            let producer = &mut self.producers[index];
            let base_sequence = producer.sequences.get(&place).copied().unwrap_or(0);
            let sent = records.clone();
            let batch = Batch { records, base_sequence, is_under_way: false, may_be_stored: false };
            producer.open.insert(place, batch);
            sent.into_iter().try_for_each(|(key, value)| self.tell(Event::Sent { place, key, value }))?;
        }
        let is_compacted = self.topics.name_of(place.topic_id).as_deref() == Some(COMPACTED);
        let producer = &self.producers[index];
        let Some(batch) = producer.open.get(&place).filter(|batch| !batch.is_under_way) else {
            return Ok(());
        };
        let fields = producer.id.map_or(ProducerFields::NONE, |producer_id| ProducerFields {
            producer_id,
            producer_epoch: 0,
            base_sequence: batch.base_sequence,
        });
        let batch = encode(&batch.records, fields, is_compacted);
        let Some(partition) = self.broker.as_ref().and_then(|broker| broker.partition(&place)).cloned()
        else {
            return Ok(());
        };
        let is_sent = self.call(Of::Producer(index, place), |_| async move {
            let outcome = async {
                let appended = partition.append(batch, None).await?;
                partition.committed(appended.last_offset).await?;
                Ok(appended)
            };
            Answer::Appended(outcome.await)
        });
        if let Some(batch) = self.producers[index].open.get_mut(&place) {
            batch.is_under_way = is_sent;
        }
        self.settle()
    }

    fn new_records(&mut self) -> Vec<(u32, u64)> {
        let count = 1 + self.below(BATCH_RECORDS_MAX);
        let mut records = Vec::with_capacity(count);
        for _ in 0..count {
            self.next_value += 1;
            records.push((self.rng.u32(..KEYS), self.next_value));
        }
        records
    }

    /// A producer learns what became of its batch.
    pub(super) fn take_outcome(
        &mut self,
        index: usize,
        place: TopicPartition,
        outcome: Result<Appended, AppendError>,
    ) -> Stepped {
        let producer = &mut self.producers[index];
        let Some(batch) = producer.open.get_mut(&place) else { return Ok(()) };
        batch.is_under_way = false;
        match outcome {
            Ok(appended) => {
                let records = std::mem::take(&mut batch.records);
                producer.sequences.insert(place, batch.base_sequence + records.len() as i32);
                producer.open.remove(&place);
                if appended.base_offset < 0 {
                    return Ok(());
                }
                let offsets = appended.base_offset..;
                records.into_iter().zip(offsets).try_for_each(|((key, value), offset)| {
                    self.tell(Event::Acknowledged { place, offset, key, value })
                })
            }
            Err(AppendError::Unknown(_)) => {
                batch.may_be_stored = true;
                self.drop_plain(index, place);
                Ok(())
            }
            Err(error) => {
                // What was refused after it was stored in part of an earlier try is not settled by this one.
                self.note(format_args!("{place}: refused, {error}"));
                let batch = self.producers[index].open[&place].clone();
                self.drop_plain(index, place);
                if batch.may_be_stored {
                    return Ok(());
                }
                self.producers[index].open.remove(&place);
                let values = batch.records.into_iter().map(|(_, value)| value);
                values.into_iter().try_for_each(|value| self.tell(Event::NotWritten { place, value }))
            }
        }
    }

    fn drop_plain(&mut self, index: usize, place: TopicPartition) {
        if self.producers[index].id.is_none() {
            self.producers[index].open.remove(&place);
        }
    }
}

fn encode(records: &[(u32, u64)], fields: ProducerFields, is_compacted: bool) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    for (key, number) in records {
        let (key, text) = (key.to_string(), number.to_string());
        let value = (!is_compacted || !is_tombstone(*number)).then_some(text.as_bytes());
        let record = NewRecord { timestamp: 0, key: Some(key.as_bytes()), value, headers: &[] };
        builder.append(&record).expect("it is small");
    }
    let rules = Rules {
        max_batch_bytes: 1 << 20,
        now_ms: 0,
        timestamp_after_max_ms: i64::MAX,
        max_decompressed_bytes: 1 << 20,
        needs_keys: is_compacted,
    };
    ValidBatch::build(&mut builder, Codec::None, fields, &rules).expect("it is valid")
}
