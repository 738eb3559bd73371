//! Errors as they come over the wire, made into [`Error`].

use std::collections::BTreeMap;

use crate::base::{Error, ErrorKind, Outcome};
use crate::proto::grpc;

/// Names of the typed facts that errors carry; others are dropped, so that names stay static.
const FACTS: &[&str] = &[
    "assignor",
    "available",
    "closest",
    "count",
    "current_epoch",
    "end",
    "end_offset",
    "epoch",
    "expected",
    "field",
    "first",
    "got",
    "group",
    "instance_id",
    "key",
    "keys",
    "leader_epoch",
    "limit",
    "lost",
    "max",
    "member_id",
    "min",
    "offset",
    "partition",
    "partition_count",
    "producer_epoch",
    "producer_id",
    "record",
    "size",
    "start",
    "topic",
    "topic_id",
    "value",
    "wrong",
];

/// An error of these words; facts with unknown names are left out.
pub(super) fn error_with_facts(
    kind: ErrorKind,
    message: String,
    facts: impl IntoIterator<Item = (String, String)>,
) -> Error {
    let mut error = Error::new(kind, message);
    for (name, value) in facts {
        if let Ok(at) = FACTS.binary_search(&name.as_str()) {
            error.metadata.insert(FACTS[at], value);
        }
    }
    error
}

/// The error of one item in a reply. A reason of a newer broker counts as INTERNAL.
pub(super) fn from_item(item: grpc::ItemError) -> Error {
    let outcome = match item.outcome() {
        grpc::Outcome::Written => Some(Outcome::Written),
        grpc::Outcome::NotWritten => Some(Outcome::NotWritten),
        grpc::Outcome::Unknown => Some(Outcome::Unknown),
        grpc::Outcome::Unspecified => None,
    };
    let reason = item.reason().as_str_name();
    let kind =
        ErrorKind::from_reason(reason.trim_start_matches("ERROR_REASON_")).unwrap_or(ErrorKind::Internal);
    let mut error = error_with_facts(kind, item.message, item.metadata);
    error.outcome = outcome.unwrap_or(error.outcome);
    error
}

/// The same error once more, for another record of the same batch. A cause that is itself an [`Error`] is repeated too;
/// any other stays with the first.
pub(super) fn repeat(error: &Error) -> Error {
    let cause = error.source.as_ref().and_then(|source| source.downcast_ref::<Error>());
    Error {
        kind: error.kind,
        message: error.message.clone(),
        outcome: error.outcome,
        metadata: BTreeMap::clone(&error.metadata),
        source: cause.map(|cause| repeat(cause).into()),
    }
}

/// A reply that no broker of this version sends.
pub(super) fn malformed(what: &str) -> Error {
    Error::new(
        ErrorKind::Internal,
        format!(
            "the broker's reply is malformed: {what}; check that client and broker have the same version"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_sorted_for_the_search() {
        assert!(FACTS.is_sorted());
    }

    #[test]
    fn an_item_keeps_kind_outcome_and_facts() {
        let item = grpc::ItemError {
            reason: grpc::ErrorReason::OffsetOutOfRange as i32,
            message: "offset 9 of orders/0 is out of range".into(),
            retriable: false,
            outcome: grpc::Outcome::Unknown as i32,
            metadata: [("start".to_owned(), "3".to_owned()), ("novel".to_owned(), "x".to_owned())].into(),
        };
        let error = from_item(item);
        assert_eq!((error.kind, error.outcome), (ErrorKind::OffsetOutOfRange, Outcome::Unknown));
        assert_eq!(error.metadata, [("start", "3".to_owned())].into());
        let unknown = grpc::ItemError { reason: 999, ..Default::default() };
        assert_eq!(from_item(unknown).kind, ErrorKind::Internal);
    }

    #[test]
    fn every_reason_of_the_wire_has_a_kind() {
        for number in 1..=27 {
            let item = grpc::ItemError { reason: number, ..Default::default() };
            assert_eq!(from_item(item).kind as i32, number - 1);
        }
    }
}
