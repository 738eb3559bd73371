//! What the clients of a scenario were told: the promises that every crash is held against.

use std::collections::HashMap;

use weir::base::{LeaderEpoch, Offset};
use weir::record::builder::ProducerFields;

/// A batch of an idempotent producer.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) fields: ProducerFields,
    pub(super) values: Vec<String>,
    /// Its base offset, once it was acknowledged as durable.
    pub(super) acked: Option<Offset>,
}

/// Records in a batch of an idempotent producer.
const SENT_RECORDS: usize = 2;

impl Sent {
    /// The batch that follows what its producer sent before.
    pub(super) fn next(sent: &[Self], producer_id: i64) -> Self {
        let number = sent.iter().filter(|sent| sent.is_of(producer_id)).count();
        let base_sequence = (number * SENT_RECORDS) as i32;
        let values = (0..SENT_RECORDS).map(|record| format!("p{producer_id}-{number}-{record}")).collect();
        Self { fields: ProducerFields { producer_id, producer_epoch: 0, base_sequence }, values, acked: None }
    }

    pub(super) fn is_of(&self, producer_id: i64) -> bool {
        self.fields.producer_id == producer_id
    }
}

/// What the clients of a scenario were told.
#[derive(Clone, Default)]
pub(super) struct Told {
    /// Acknowledged as durable: offset and value.
    pub(super) acked: Vec<(Offset, String)>,
    /// Answered `not written`.
    pub(super) not_written: Vec<String>,
    /// Where written records were put.
    pub(super) placed: HashMap<(LeaderEpoch, Offset), String>,
    /// Batches of idempotent producers, in the order of their first sending.
    pub(super) sent: Vec<Sent>,
    /// Records below it were told to be gone: they never come back.
    pub(super) start_at_least: Offset,
    /// Records below it were to be removed, perhaps not durably.
    pub(super) start_at_most: Offset,
    /// The highest offset shown to consumers of an ack topic, plus one.
    pub(super) shown: Offset,
    /// Whether everything goes by retention once time has passed.
    pub(super) expires: bool,
    /// The first answer that was wrong before any crash.
    pub(super) complaint: Option<String>,
}

impl Told {
    /// Notes where the records of a batch were put.
    pub(super) fn place(&mut self, epoch: LeaderEpoch, base_offset: Offset, values: &[String]) {
        for (offset, value) in (base_offset..).zip(values) {
            if let Some(other) = self.placed.insert((epoch, offset), value.clone())
                && other != *value
            {
                self.complain(format!("epoch {epoch} offset {offset} went to '{other}' and to '{value}'"));
            }
        }
    }

    /// Notes that a sent batch is acknowledged as durable.
    pub(super) fn acknowledge(&mut self, at: usize, base_offset: Offset) {
        if self.sent[at].acked.replace(base_offset).is_none() {
            let values = self.sent[at].values.clone();
            self.acked.extend((base_offset..).zip(values));
        }
    }

    /// Notes a wrong answer.
    pub(super) fn complain(&mut self, what: String) {
        self.complaint.get_or_insert(what);
    }
}
