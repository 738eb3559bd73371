//! Tests of the codec: round trips, cut bytes, flipped bits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::base::{GroupId, InstanceId, MemberId, TopicId, TopicPartition};
use crate::coordinator::StoredRecord;
use crate::coordinator::group::assign::{Assignment, AssignorName};
use crate::coordinator::group::position::{Committed, PartitionName, Position};
use crate::coordinator::group::start::Start;
use crate::coordinator::group::subscription::Subscription;

fn text() -> impl Strategy<Value = Arc<str>> {
    "[a-zż.]{0,8}".prop_map(Arc::from)
}

fn topic_id() -> impl Strategy<Value = TopicId> {
    any::<[u8; 16]>().prop_map(TopicId)
}

fn assignment() -> impl Strategy<Value = Assignment> {
    proptest::collection::btree_map(topic_id(), proptest::collection::btree_set(any::<i32>(), 1..5), 0..4)
}

fn owned() -> impl Strategy<Value = BTreeMap<TopicPartition, i32>> {
    let one = (0u8..3, any::<i32>())
        .prop_map(|(topic, partition)| TopicPartition { topic_id: TopicId([topic; 16]), partition });
    proptest::collection::btree_map(one, any::<i32>(), 0..6)
}

fn head() -> impl Strategy<Value = GroupHead> {
    let start =
        prop_oneof![Just(Start::Earliest), Just(Start::Latest), (0..i64::MAX).prop_map(Start::Timestamp)];
    (any::<i32>(), any::<i64>(), start, any::<i64>(), any::<i64>()).prop_map(
        |(epoch, topics_hash, start, start_before, subscription_hash)| GroupHead {
            epoch,
            topics_hash,
            start,
            start_before,
            subscription_hash,
        },
    )
}

fn membership() -> impl Strategy<Value = Membership> {
    let subscription = (proptest::collection::btree_set(text(), 0..4), proptest::option::of(text()));
    let assignor = proptest::option::of(proptest::sample::select(AssignorName::ALL.to_vec()));
    let timeouts = (any::<i32>(), any::<i32>());
    (proptest::option::of(text()), text(), text(), subscription, assignor, timeouts).prop_map(
        |(instance_id, client_id, client_host, (names, pattern), assignor, timeouts)| Membership {
            instance_id: instance_id.map(|text| InstanceId::stored(&text)),
            client_id,
            client_host,
            subscription: Subscription { names, pattern },
            assignor,
            session_timeout_ms: timeouts.0,
            rebalance_timeout_ms: timeouts.1,
        },
    )
}

fn current() -> impl Strategy<Value = Current> {
    (any::<i32>(), any::<i32>(), owned(), owned()).prop_map(
        |(epoch, previous_epoch, assigned, mut revoking)| {
            revoking.retain(|id, _| !assigned.contains_key(id));
            Current { epoch, previous_epoch, assigned, revoking }
        },
    )
}

fn committed() -> impl Strategy<Value = (PartitionName, Committed)> {
    (topic_id(), text(), any::<i32>(), (any::<i64>(), any::<i32>(), text()), any::<i64>()).prop_map(
        |(topic_id, topic, partition, (offset, leader_epoch, metadata), committed)| {
            let position = Position { topic_id, topic, partition, offset, leader_epoch, metadata };
            (position.name(), Committed { position, committed })
        },
    )
}

fn any_record() -> impl Strategy<Value = GroupRecord> {
    let group = || text().prop_map(|text| GroupId::stored(&text));
    let member = || text().prop_map(|text| MemberId::stored(&text));
    let target_epoch =
        (any::<i32>(), any::<i64>()).prop_map(|(epoch, computed)| TargetEpoch { epoch, computed });
    prop_oneof![
        (group(), committed(), any::<bool>()).prop_map(|(group, (name, value), there)| GroupRecord::Offset(
            group,
            name,
            there.then_some(value)
        )),
        (group(), proptest::option::of(head())).prop_map(|(group, value)| GroupRecord::Group(group, value)),
        (group(), member(), proptest::option::of(membership()))
            .prop_map(|(group, member, value)| GroupRecord::Member(group, member, value)),
        (group(), proptest::option::of(target_epoch))
            .prop_map(|(group, value)| GroupRecord::TargetEpoch(group, value)),
        (group(), member(), proptest::option::of(assignment()))
            .prop_map(|(group, member, value)| GroupRecord::Target(group, member, value)),
        (group(), member(), proptest::option::of(current()))
            .prop_map(|(group, member, value)| GroupRecord::Current(group, member, value)),
    ]
}

/// What is decoded may differ from what was encoded after a flip, but it has a stored form of its own that says the same.
fn is_sound(record: &StoredRecord) -> bool {
    match GroupRecord::decode(record) {
        Ok(found) => GroupRecord::decode(&found.encode()) == Ok(found),
        Err(_) => true,
    }
}

proptest! {
    #[test]
    fn records_round_trip(record in any_record()) {
        prop_assert_eq!(GroupRecord::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn a_record_cut_anywhere_is_refused(record in any_record()) {
        let whole = record.encode();
        for end in 0..whole.key.len() {
            let cut = StoredRecord { key: whole.key.slice(..end), value: whole.value.clone() };
            prop_assert!(GroupRecord::decode(&cut).is_err(), "key cut at {}", end);
        }
        let value = whole.value.clone().unwrap_or_default();
        for end in 0..value.len() {
            let cut = StoredRecord { key: whole.key.clone(), value: Some(value.slice(..end)) };
            prop_assert_eq!(GroupRecord::decode(&cut), Err(DecodeError::Malformed), "value cut at {}", end);
        }
        let longer = |bytes: &Bytes| Bytes::from([bytes, &b"\0"[..]].concat());
        let padded = StoredRecord { key: longer(&whole.key), value: whole.value.clone() };
        prop_assert_eq!(GroupRecord::decode(&padded), Err(DecodeError::Malformed));
        if !value.is_empty() {
            let padded = StoredRecord { key: whole.key.clone(), value: Some(longer(&value)) };
            prop_assert_eq!(GroupRecord::decode(&padded), Err(DecodeError::Malformed));
        }
    }

    #[test]
    fn a_flipped_bit_is_refused_or_another_record(record in any_record()) {
        let whole = record.encode();
        let flip = |bytes: &Bytes, bit: usize| {
            let mut bytes = bytes.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            Bytes::from(bytes)
        };
        for bit in 0..whole.key.len() * 8 {
            let flipped = StoredRecord { key: flip(&whole.key, bit), value: whole.value.clone() };
            prop_assert!(is_sound(&flipped), "{:?}", flipped);
            prop_assert_ne!(GroupRecord::decode(&flipped), Ok(record.clone()));
        }
        let value = whole.value.clone().unwrap_or_default();
        for bit in 0..value.len() * 8 {
            let flipped = StoredRecord { key: whole.key.clone(), value: Some(flip(&value, bit)) };
            prop_assert!(is_sound(&flipped), "{:?}", flipped);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(key: Vec<u8>, value: Option<Vec<u8>>, of in 0u8..17) {
        let key = Bytes::from([&[0, of], &key[..]].concat());
        let value = value.map(|value| Bytes::from([&[0, if of == 1 { 4 } else { 0 }], &value[..]].concat()));
        let record = StoredRecord { key, value };
        prop_assert!(is_sound(&record));
    }
}

#[test]
fn an_offset_has_the_bytes_that_kafka_writes() {
    let position = Position {
        topic_id: TopicId(*b"0123456789abcdef"),
        topic: "orders".into(),
        partition: 3,
        offset: 42,
        leader_epoch: 7,
        metadata: "m".into(),
    };
    let name = position.name();
    let record = GroupRecord::Offset(GroupId::stored("g"), name, Some(Committed { position, committed: 9 }));
    let stored = record.encode();
    assert_eq!(&stored.key[..], b"\0\x01\0\x01g\0\x06orders\0\0\0\x03");
    let value = b"\0\x04\0\0\0\0\0\0\0\x2a\0\0\0\x07\x02m\0\0\0\0\0\0\0\x09\x01\0\x100123456789abcdef";
    assert_eq!(stored.value.as_deref(), Some(&value[..]));
}

#[test]
fn what_is_not_known_is_told_apart() {
    let stored = |key: &'static [u8], value: &'static [u8]| StoredRecord {
        key: Bytes::from_static(key),
        value: Some(Bytes::from_static(value)),
    };
    let decode = |key, value| GroupRecord::decode(&stored(key, value)).expect_err("nothing of ours");
    assert_eq!(decode(b"\0\x02\0\x01g", b"\0\x03"), DecodeError::UnknownType(2));
    let newer = DecodeError::UnknownVersion { of: 3, version: 9 };
    assert_eq!(decode(b"\0\x03\0\x01g", b"\0\x09\0\0"), newer);
    assert_eq!(newer.to_string(), "version 9 of record type 3 is not known");
    assert_eq!(decode(b"\0\x03\xff\xffg", b"\0\0\0\0\0\x01\0"), DecodeError::Malformed);
}

#[test]
fn tags_of_others_are_skipped_and_epochs_guessed() {
    // A current assignment without ownership epochs, with a tag 7 that nobody knows.
    let mut value = b"\0\0\0\0\0\x05\0\0\0\x04\0\x02".to_vec();
    value.extend([1; 16]);
    value.extend(b"\x03\0\0\0\0\0\0\0\x01\0\x01\x01\x07\x02ab");
    let record = StoredRecord { key: Bytes::from_static(b"\0\x08\0\x01g\0\x01m"), value: Some(value.into()) };
    let Ok(GroupRecord::Current(_, _, Some(current))) = GroupRecord::decode(&record) else {
        panic!("{:?}", GroupRecord::decode(&record));
    };
    let id = |partition| TopicPartition { topic_id: TopicId([1; 16]), partition };
    assert_eq!(current.assigned, BTreeMap::from([(id(0), 5), (id(1), 5)]));
    let names: BTreeSet<i32> = current.owned().map(|(id, _)| id.partition).collect();
    assert_eq!(names, BTreeSet::from([0, 1]));
}

/// One record of each type, key and value, as Kafka 4.3.1's `DumpLogSegments --offsets-decoder` read them, every field right.
const READ_BY_KAFKA: [(&str, &str); 6] = [
    (
        "0003000e6f72646572732d73657276696365",
        "000000000005040008000000000012d687e80708ffffffffffffffffe907080000000000000063ea0708fffffffffffffffc",
    ),
    (
        "0005000e6f72646572732d7365727669636500086d656d6265722d31",
        "000004692d31000263026803076f72646572730872657475726e73046f2e2a0000ea6007737469636b7901e8070400002710",
    ),
    ("0006000e6f72646572732d73657276696365", "0000000000050100080000018bcfe56800"),
    (
        "0007000e6f72646572732d7365727669636500086d656d6265722d31",
        "00000230313233343536373839616263646566040000000000000001000000030000",
    ),
    (
        "0008000e6f72646572732d7365727669636500086d656d6265722d31",
        "0000000000050000000401023031323334353637383961626364656603000000000000000101000903000000040000000502303132333435363738396162636465660200000002010005020000000300",
    ),
    (
        "0001000e6f72646572732d7365727669636500066f726465727300000003",
        "0004000000000000002a00000007056e6f74650000018bcfe5680101001030313233343536373839616263646566",
    ),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_bytes_are_those_that_kafka_read() {
    let (group, member) = (GroupId::stored("orders-service"), MemberId::stored("member-1"));
    let topic_id = TopicId(*b"0123456789abcdef");
    let id = |partition| TopicPartition { topic_id, partition };
    let head = GroupHead {
        epoch: 5,
        topics_hash: 1_234_567,
        start: Start::Latest,
        start_before: 99,
        subscription_hash: -4,
    };
    let membership = Membership {
        instance_id: Some(InstanceId::stored("i-1")),
        client_id: "c".into(),
        client_host: "h".into(),
        subscription: Subscription {
            names: BTreeSet::from(["orders".into(), "returns".into()]),
            pattern: Some("o.*".into()),
        },
        assignor: Some(AssignorName::Sticky),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
    };
    let target = Assignment::from([(topic_id, BTreeSet::from([0, 1, 3]))]);
    let current = Current {
        epoch: 5,
        previous_epoch: 4,
        assigned: BTreeMap::from([(id(0), 4), (id(1), 5)]),
        revoking: BTreeMap::from([(id(2), 3)]),
    };
    let position = Position {
        topic_id,
        topic: "orders".into(),
        partition: 3,
        offset: 42,
        leader_epoch: 7,
        metadata: "note".into(),
    };
    let name = position.name();
    let committed = Committed { position, committed: 1_700_000_000_001 };
    let records = [
        GroupRecord::Group(group.clone(), Some(head)),
        GroupRecord::Member(group.clone(), member.clone(), Some(membership)),
        GroupRecord::TargetEpoch(group.clone(), Some(TargetEpoch { epoch: 5, computed: 1_700_000_000_000 })),
        GroupRecord::Target(group.clone(), member.clone(), Some(target)),
        GroupRecord::Current(group.clone(), member, Some(current)),
        GroupRecord::Offset(group, name, Some(committed)),
    ];
    for (record, (key, value)) in records.iter().zip(READ_BY_KAFKA) {
        let stored = record.encode();
        assert_eq!(
            (hex(&stored.key).as_str(), hex(&stored.value.unwrap_or_default()).as_str()),
            (key, value)
        );
    }
}
