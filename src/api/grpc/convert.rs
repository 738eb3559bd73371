//! Between protobuf and the broker's words. What makes no sense is named by its field.

use std::fmt;

use prost::Message;

use super::status::item_error;
use crate::base::limits::{FETCH_BYTES_DEFAULT, REQUEST_ITEMS_MAX};
use crate::base::{Error, ErrorKind, TopicId, offset::NO_OFFSET};
use crate::broker::request as rq;
use crate::config::TimestampType;
use crate::proto::grpc as pb;
use crate::record::ProducerFields;

/// A field that makes no sense. The message names it, what is wrong, and what would be right.
pub fn invalid(field: &str, what: impl fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("the field '{field}' {what}")).with("field", field)
}

/// A topic id, where one is given. Errors: INVALID_REQUEST.
pub fn topic_id(bytes: Option<&[u8]>) -> Result<Option<TopicId>, Error> {
    let wrong = |len| invalid("topic_id", format_args!("has {len} bytes: give 16, or leave it out"));
    bytes.map(|bytes| TopicId::from_slice(bytes).ok_or_else(|| wrong(bytes.len()))).transpose()
}

fn check_topic(topic: &str) -> Result<(), Error> {
    match topic.is_empty() {
        true => Err(invalid("topic", "is empty: name a topic")),
        false => Ok(()),
    }
}

/// Errors: an empty list, or one that is too long.
pub fn check_count(field: &str, count: usize) -> Result<(), Error> {
    if count == 0 {
        return Err(invalid(field, "is empty: give at least one"));
    }
    check_most(field, count)
}

/// Errors: a list that is too long.
pub fn check_most(field: &str, count: usize) -> Result<(), Error> {
    if count > REQUEST_ITEMS_MAX {
        return Err(invalid(field, format_args!("has {count} items: give at most {REQUEST_ITEMS_MAX}")));
    }
    Ok(())
}

/// A number of bytes; 0 and absent are `None`.
pub fn byte_count(field: &str, bytes: i32) -> Result<Option<usize>, Error> {
    let wrong = |_| invalid(field, format_args!("is {bytes}: give a number of bytes, or 0 for the default"));
    usize::try_from(bytes).map_err(wrong).map(|bytes| Some(bytes).filter(|bytes| *bytes > 0))
}

/// When a produce is answered.
pub fn acks(value: i32) -> Result<rq::Acks, Error> {
    match pb::Acks::try_from(value) {
        Ok(pb::Acks::Unspecified | pb::Acks::All) => Ok(rq::Acks::All),
        Ok(pb::Acks::Leader) => Ok(rq::Acks::Leader),
        Ok(pb::Acks::None) => Ok(rq::Acks::None),
        Err(_) => Err(invalid("acks", format_args!("is {value}: use ACKS_NONE, ACKS_LEADER or ACKS_ALL"))),
    }
}

/// In which form records are handed out.
pub fn form(value: i32) -> Result<rq::Form, Error> {
    match pb::RecordForm::try_from(value) {
        Ok(pb::RecordForm::Unspecified | pb::RecordForm::Records) => Ok(rq::Form::Records),
        Ok(pb::RecordForm::Batch) => Ok(rq::Form::Batch),
        Err(_) => {
            Err(invalid("form", format_args!("is {value}: use RECORD_FORM_RECORDS or RECORD_FORM_BATCH")))
        }
    }
}

/// The items of a produce.
///
/// Errors: no items, or too many. What is wrong with one item stays with it.
pub fn produce_items(batches: Vec<pb::ProduceBatch>) -> Result<Vec<rq::ProduceItem>, Error> {
    check_count("batches", batches.len())?;
    Ok(batches.into_iter().map(produce_item).collect())
}

/// When to answer a request of a stream, and its items. What is wrong with the request as a whole becomes the error of
/// each item: the stream lives.
pub fn stream_items(request: pb::ProduceStreamRequest) -> (rq::Acks, Vec<rq::ProduceItem>) {
    let asked = acks(request.acks);
    let counted = check_count("batches", request.batches.len());
    match (asked, counted) {
        (Ok(acks), Ok(())) => (acks, request.batches.into_iter().map(produce_item).collect()),
        (Ok(acks), Err(error)) => (acks, vec![malformed(String::new(), None, error)]),
        (Err(_), Ok(())) => {
            let refuse = |batch: pb::ProduceBatch| {
                let why = acks(request.acks).expect_err("the same acks were refused before");
                malformed(batch.topic, batch.partition, why)
            };
            (rq::Acks::All, request.batches.into_iter().map(refuse).collect())
        }
        (Err(error), Err(_)) => (rq::Acks::All, vec![malformed(String::new(), None, error)]),
    }
}

fn malformed(topic: String, partition: Option<i32>, error: Error) -> rq::ProduceItem {
    let payload = rq::Payload::Malformed(error);
    rq::ProduceItem { topic, topic_id: None, partition, payload, size_bytes: 0 }
}

fn produce_item(batch: pb::ProduceBatch) -> rq::ProduceItem {
    let size_bytes = batch.encoded_len();
    let fields = check_topic(&batch.topic)
        .and_then(|()| topic_id(batch.topic_id.as_deref()))
        .and_then(|id| Ok((id, producer_fields(&batch)?)));
    let (topic_id, producer) = match fields {
        Ok(fields) => fields,
        Err(error) => return malformed(batch.topic, batch.partition, error),
    };
    let payload = match batch.payload {
        Some(pb::produce_batch::Payload::Batch(bytes)) => rq::Payload::Batch(bytes),
        Some(pb::produce_batch::Payload::Records(list)) => {
            rq::Payload::Records { records: list.records.into_iter().map(record).collect(), producer }
        }
        None => rq::Payload::Malformed(invalid("payload", "is not set: give 'records' or 'batch'")),
    };
    rq::ProduceItem { topic: batch.topic, topic_id, partition: batch.partition, payload, size_bytes }
}

/// The idempotent producer of an item: id, epoch and sequence together, or none.
fn producer_fields(batch: &pb::ProduceBatch) -> Result<ProducerFields, Error> {
    let Some(producer_id) = batch.producer_id.filter(|id| *id != -1) else { return Ok(ProducerFields::NONE) };
    if producer_id < 0 {
        return Err(invalid(
            "producer_id",
            format_args!("is {producer_id}: give the id that InitProducer gave"),
        ));
    }
    let producer_epoch = batch
        .producer_epoch
        .and_then(|epoch| i16::try_from(epoch).ok())
        .filter(|epoch| *epoch >= 0)
        .ok_or_else(|| invalid("producer_epoch", "must be 0 to 32767 where producer_id is set"))?;
    let base_sequence = batch
        .base_sequence
        .filter(|sequence| *sequence >= 0)
        .ok_or_else(|| invalid("base_sequence", "must not be negative where producer_id is set"))?;
    Ok(ProducerFields { producer_id, producer_epoch, base_sequence })
}

fn record(record: pb::Record) -> rq::Record {
    rq::Record {
        offset: record.offset,
        timestamp: record.timestamp_ms,
        key: record.key,
        value: record.value,
        headers: record.headers.into_iter().map(|h| rq::Header { key: h.key, value: h.value }).collect(),
    }
}

fn record_reply(record: rq::Record) -> pb::Record {
    pb::Record {
        offset: record.offset,
        timestamp_ms: record.timestamp,
        key: record.key,
        value: record.value,
        headers: record.headers.into_iter().map(|h| pb::Header { key: h.key, value: h.value }).collect(),
    }
}

/// One result of a produce.
pub fn produce_result(result: rq::ProduceResult) -> pb::ProduceResult {
    let mut reply = pb::ProduceResult {
        batch_index: result.item_index as i32,
        topic: result.topic,
        topic_id: result.topic_id.map(id_bytes).unwrap_or_default(),
        partition: result.partition.unwrap_or(-1),
        base_offset: NO_OFFSET,
        record_indexes: result.record_indexes.into_iter().map(|index| index as i32).collect(),
        ..pb::ProduceResult::default()
    };
    match result.result {
        Err(error) => reply.error = Some(item_error(error)),
        Ok(stored) => {
            reply.base_offset = stored.base_offset;
            reply.record_count = stored.record_count;
            reply.append_time_ms = stored.append_time;
            reply.leader_epoch = stored.leader_epoch;
            reply.duplicate = stored.duplicate;
            reply.log_start_offset = stored.log_start;
            reply.set_durability(match stored.durability {
                rq::Durability::Written => pb::Durability::Written,
                rq::Durability::Flushed => pb::Durability::Flushed,
            });
        }
    }
    reply
}

/// The 16 bytes of a topic id.
pub fn id_bytes(id: TopicId) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(&id.0)
}

fn cursor(place: pb::FetchPartition) -> Result<rq::Cursor, rq::RefusedItem> {
    let checked = check_topic(&place.topic)
        .and_then(|()| topic_id(place.topic_id.as_deref()))
        .and_then(|id| Ok((id, byte_count("max_bytes", place.max_bytes)?)));
    let pb::FetchPartition { topic, partition, offset, leader_epoch, .. } = place;
    match checked {
        Ok((topic_id, max_bytes)) => {
            Ok(rq::Cursor { topic, topic_id, partition, offset, leader_epoch, max_bytes })
        }
        Err(error) => Err(rq::RefusedItem { topic, partition, error }),
    }
}

/// A read of several partitions.
///
/// Errors: INVALID_REQUEST. What is wrong with one partition stays with it.
pub fn fetch_request(request: pb::FetchRequest) -> Result<rq::FetchRequest, Error> {
    check_count("partitions", request.partitions.len())?;
    if request.max_wait_ms < 0 {
        let what = format_args!("is {}: give 0 to 60000", request.max_wait_ms);
        return Err(invalid("max_wait_ms", what));
    }
    Ok(rq::FetchRequest {
        cursors: request.partitions.into_iter().map(cursor).collect(),
        min_bytes: byte_count("min_bytes", request.min_bytes)?.unwrap_or(1),
        max_bytes: byte_count("max_bytes", request.max_bytes)?.unwrap_or(FETCH_BYTES_DEFAULT),
        max_wait_ms: request.max_wait_ms.into(),
        form: form(request.form)?,
    })
}

/// Following several partitions.
///
/// Errors: INVALID_REQUEST. What is wrong with one partition stays with it.
pub fn tail_request(request: pb::TailRequest) -> Result<rq::TailRequest, Error> {
    check_count("partitions", request.partitions.len())?;
    Ok(rq::TailRequest {
        cursors: request.partitions.into_iter().map(cursor).collect(),
        form: form(request.form)?,
        max_bytes: byte_count("max_bytes", request.max_bytes)?.unwrap_or(FETCH_BYTES_DEFAULT),
    })
}

/// What one partition gave.
pub fn fetched_partition(entry: rq::FetchedPartition) -> pb::FetchedPartition {
    let mut reply = pb::FetchedPartition {
        topic: entry.topic,
        partition: entry.partition,
        ..pb::FetchedPartition::default()
    };
    let fetched = match entry.result {
        Ok(fetched) => fetched,
        Err(error) => {
            reply.error = Some(item_error(error));
            return reply;
        }
    };
    reply.topic_id = id_bytes(fetched.topic_id);
    reply.log_start_offset = fetched.offsets.log_start;
    reply.high_watermark = fetched.offsets.high_watermark;
    reply.log_end_offset = fetched.offsets.log_end;
    reply.next_offset = fetched.next_offset;
    reply.leader_epoch = fetched.leader_epoch;
    reply.set_timestamp_type(match fetched.timestamp_type {
        TimestampType::Create => pb::TimestampType::Create,
        TimestampType::Append => pb::TimestampType::Append,
    });
    match fetched.content {
        rq::Content::Records(records) => reply.records = records.into_iter().map(record_reply).collect(),
        rq::Content::Batch(bytes) => reply.batches = bytes,
    }
    reply
}

/// Questions for offsets; one that makes no sense is its own answer.
///
/// Errors: no questions, or too many.
pub fn offset_questions(
    request: pb::ListOffsetsRequest,
) -> Result<Vec<Result<rq::OffsetQuestion, rq::RefusedItem>>, Error> {
    check_count("partitions", request.partitions.len())?;
    Ok(request.partitions.into_iter().map(offset_question).collect())
}

fn offset_question(place: pb::ListOffsetsPartition) -> Result<rq::OffsetQuestion, rq::RefusedItem> {
    let checked = check_topic(&place.topic)
        .and_then(|()| topic_id(place.topic_id.as_deref()))
        .and_then(|id| Ok((id, offset_at(place.at)?)));
    let (topic, partition) = (place.topic, place.partition);
    match checked {
        Ok((topic_id, at)) => Ok(rq::OffsetQuestion { topic, topic_id, partition, at }),
        Err(error) => Err(rq::RefusedItem { topic, partition, error }),
    }
}

fn offset_at(at: Option<pb::list_offsets_partition::At>) -> Result<rq::OffsetAt, Error> {
    use pb::list_offsets_partition::At;
    let word = match at {
        Some(At::TimestampMs(timestamp)) => return Ok(rq::OffsetAt::Timestamp(timestamp)),
        Some(At::Word(word)) => pb::OffsetWord::try_from(word).ok(),
        None => None,
    };
    match word {
        Some(pb::OffsetWord::Start) => Ok(rq::OffsetAt::Start),
        Some(pb::OffsetWord::End) => Ok(rq::OffsetAt::End),
        Some(pb::OffsetWord::MaxTimestamp) => Ok(rq::OffsetAt::MaxTimestamp),
        Some(pb::OffsetWord::Unspecified) | None => Err(invalid(
            "at",
            "is not set or unknown: give 'timestamp_ms', or 'word' START, END or MAX_TIMESTAMP",
        )),
    }
}

/// The answer to one question for an offset.
pub fn listed_offset(answer: rq::ListedOffset) -> pb::ListedOffset {
    let mut reply =
        pb::ListedOffset { topic: answer.topic, partition: answer.partition, ..pb::ListedOffset::default() };
    match answer.result {
        Ok(found) => {
            reply.topic_id = id_bytes(found.topic_id);
            reply.offset = found.offset;
            reply.timestamp_ms = found.timestamp;
            reply.leader_epoch = found.leader_epoch;
        }
        Err(error) => reply.error = Some(item_error(error)),
    }
    reply
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn batch(topic: &str) -> pb::ProduceBatch {
        pb::ProduceBatch {
            topic: topic.to_owned(),
            payload: Some(pb::produce_batch::Payload::Batch(Bytes::from_static(b"x"))),
            ..pb::ProduceBatch::default()
        }
    }

    /// The field that an item is refused for.
    fn refused(batch: pb::ProduceBatch) -> Option<String> {
        match produce_item(batch).payload {
            rq::Payload::Malformed(error) => {
                assert_eq!(error.kind, ErrorKind::InvalidRequest);
                Some(error.metadata["field"].clone())
            }
            _ => None,
        }
    }

    #[test]
    fn malformed_items_name_their_field() {
        assert_eq!(refused(batch("t")), None);
        assert_eq!(refused(batch("")).as_deref(), Some("topic"));
        let short_id = pb::ProduceBatch { topic_id: Some(Bytes::from_static(b"short")), ..batch("t") };
        assert_eq!(refused(short_id).as_deref(), Some("topic_id"));
        assert_eq!(refused(pb::ProduceBatch { payload: None, ..batch("t") }).as_deref(), Some("payload"));
        let with = |id, epoch, sequence| pb::ProduceBatch {
            producer_id: Some(id),
            producer_epoch: epoch,
            base_sequence: sequence,
            ..batch("t")
        };
        assert_eq!(refused(with(7, Some(0), Some(0))), None);
        assert_eq!(refused(with(-1, None, None)), None, "-1 is none");
        assert_eq!(refused(with(-2, None, None)).as_deref(), Some("producer_id"));
        assert_eq!(refused(with(7, None, Some(0))).as_deref(), Some("producer_epoch"));
        assert_eq!(refused(with(7, Some(40_000), Some(0))).as_deref(), Some("producer_epoch"));
        assert_eq!(refused(with(7, Some(0), Some(-1))).as_deref(), Some("base_sequence"));
    }

    #[test]
    fn a_stream_request_that_makes_no_sense_is_answered_item_by_item() {
        let request = |acks, batches| pb::ProduceStreamRequest { acks, batches, ..Default::default() };
        let (acks, items) = stream_items(request(9, vec![batch("a"), batch("b")]));
        assert_eq!((acks, items.len(), items[1].topic.as_str()), (rq::Acks::All, 2, "b"));
        assert!(items.iter().all(|item| matches!(item.payload, rq::Payload::Malformed(_))));
        let (acks, items) = stream_items(request(pb::Acks::Leader.into(), Vec::new()));
        assert_eq!((acks, items.len()), (rq::Acks::Leader, 1));
        assert!(
            matches!(&items[0].payload, rq::Payload::Malformed(error) if error.metadata["field"] == "batches")
        );
        let (acks, items) = stream_items(request(0, vec![batch("a")]));
        assert!(acks == rq::Acks::All && matches!(items[0].payload, rq::Payload::Batch(_)));
    }

    #[test]
    fn lists_must_have_one_item_and_not_too_many() {
        assert_eq!(produce_items(Vec::new()).expect_err("empty").metadata["field"], "batches");
        let many = vec![pb::FetchPartition::default(); REQUEST_ITEMS_MAX + 1];
        let request = pb::FetchRequest { partitions: many, ..Default::default() };
        assert_eq!(fetch_request(request).expect_err("too many").metadata["field"], "partitions");
    }

    #[test]
    fn fetches_get_their_defaults_and_refuse_what_is_negative() {
        let place = pb::FetchPartition { topic: "t".to_owned(), offset: 5, ..Default::default() };
        let request = pb::FetchRequest { partitions: vec![place], ..Default::default() };
        let read = fetch_request(request.clone()).expect("fine");
        assert_eq!((read.min_bytes, read.max_bytes, read.form), (1, FETCH_BYTES_DEFAULT, rq::Form::Records));
        assert_eq!(read.cursors[0].as_ref().expect("fine").max_bytes, None);
        let wrong = [
            ("max_bytes", pb::FetchRequest { max_bytes: -1, ..request.clone() }),
            ("min_bytes", pb::FetchRequest { min_bytes: -1, ..request.clone() }),
            ("max_wait_ms", pb::FetchRequest { max_wait_ms: -1, ..request.clone() }),
            ("form", pb::FetchRequest { form: 77, ..request.clone() }),
        ];
        for (field, request) in wrong {
            assert_eq!(fetch_request(request).expect_err(field).metadata["field"], field);
        }
        let mut one_wrong = request;
        one_wrong.partitions[0].max_bytes = -5;
        let read = fetch_request(one_wrong).expect("the others go on");
        assert_eq!(read.cursors[0].as_ref().expect_err("negative").error.metadata["field"], "max_bytes");
    }

    #[test]
    fn offsets_are_asked_for_by_word_or_time() {
        use pb::list_offsets_partition::At;
        assert_eq!(offset_at(Some(At::Word(1))).expect("a word"), rq::OffsetAt::Start);
        assert_eq!(offset_at(Some(At::TimestampMs(9))).expect("a time"), rq::OffsetAt::Timestamp(9));
        for wrong in [None, Some(At::Word(0)), Some(At::Word(99))] {
            assert_eq!(offset_at(wrong).expect_err("nothing to look for").metadata["field"], "at");
        }
    }

    #[test]
    fn records_go_through_unchanged() {
        let sent = pb::Record {
            key: None,
            value: Some(Bytes::new()),
            headers: vec![
                pb::Header { key: "h".to_owned(), value: None },
                pb::Header { key: "h".to_owned(), value: Some(Bytes::new()) },
            ],
            timestamp_ms: Some(3),
            offset: 4,
        };
        assert_eq!(record_reply(record(sent.clone())), sent);
    }
}
