//! Each property against histories made by hand: good ones pass, bad ones do not.

use weir::base::{GroupId, MemberId, Offset, TopicId, TopicPartition};

use super::Invariants;
use crate::event::{Event, GroupPlace, OUTSIDER, Owner};

const PLACE: TopicPartition = TopicPartition { topic_id: TopicId([1; 16]), partition: 0 };

fn place() -> GroupPlace {
    (GroupId::stored("g"), PLACE)
}

fn owner(member: &str, epoch: i32) -> Owner {
    (MemberId::stored(member), epoch)
}

fn owned(member: &str, epoch: i32) -> Event {
    Event::Owned { place: place(), owner: Some(owner(member, epoch)) }
}

fn free() -> Event {
    Event::Owned { place: place(), owner: None }
}

fn acknowledged(offset: Offset, value: u64) -> Event {
    Event::Acknowledged { place: PLACE, offset, key: 1, value }
}

fn sent(value: u64) -> Event {
    Event::Sent { place: PLACE, key: 1, value }
}

fn stored(offset: Offset, value: Option<u64>, is_compacted: bool) -> Event {
    Event::Stored { place: PLACE, offset, key: 1, value, is_compacted }
}

fn commits(commit: u64, by: Owner, offset: Offset) -> Event {
    Event::Commits { commit, place: place(), owner: by, offset }
}

fn committed(offset: Offset, commit: Option<u64>) -> Event {
    Event::Committed { place: place(), offset, commit }
}

fn begun(by: Owner, offset: Offset, committed: Option<Offset>) -> Event {
    Event::Begun { place: place(), owner: by, offset, committed }
}

fn processed(by: Owner, offset: Offset) -> Event {
    Event::Processed { place: place(), owner: by, offset, value: 1 }
}

fn expired(was_connected: bool, silent_ms: u64, revoking_ms: u64) -> Event {
    let member = MemberId::stored("m");
    let (session_timeout_ms, rebalance_timeout_ms) = (10, 20);
    Event::Expired { member, was_connected, silent_ms, session_timeout_ms, revoking_ms, rebalance_timeout_ms }
}

fn compared(live: &str, history: &str) -> Event {
    Event::Compared { live: live.to_owned(), history: history.to_owned() }
}

fn revoked(is_target: bool) -> Event {
    Event::Revoked { place: place(), member: MemberId::stored("m"), is_target }
}

fn drained(owners: usize, lag: i64) -> Event {
    Event::Drained { place: place(), owners, lag }
}

/// The invariant that notices, if any does.
fn noticed(history: Vec<Event>) -> Option<&'static str> {
    let mut invariants = Invariants::new();
    history.iter().find_map(|event| invariants.see(event).err()).map(|(name, _)| name)
}

#[test]
fn a_good_history_passes() {
    let (a, b) = (owner("a", 1), owner("b", 2));
    let history = vec![
        sent(4),
        acknowledged(0, 4),
        owned("a", 1),
        begun(a.clone(), 0, None),
        processed(a.clone(), 0),
        commits(1, a, 1),
        committed(1, Some(1)),
        Event::CommitAccepted { commit: 1 },
        revoked(false),
        free(),
        owned("b", 2),
        begun(b.clone(), 1, Some(1)),
        processed(b, 1),
        expired(false, 10, 0),
        expired(true, 0, 20),
        compared("x", "x"),
        drained(1, 0),
        stored(0, Some(4), false),
        Event::End,
    ];
    assert_eq!(noticed(history), None);
}

#[test]
fn bad_histories_are_noticed() {
    let (a, b) = (|| owner("a", 1), || owner("b", 2));
    let outsider = || owner(OUTSIDER, -1);
    let lost = Event::Lost { place: place(), member: MemberId::stored("m") };
    let bad: Vec<(&str, Vec<Event>)> = vec![
        ("records", vec![acknowledged(0, 4), Event::End]),
        ("records", vec![acknowledged(0, 4), stored(0, Some(8), false), Event::End]),
        ("records", vec![acknowledged(0, 4), acknowledged(0, 8)]),
        ("records", vec![stored(0, Some(4), false), stored(1, Some(4), false)]),
        ("records", vec![Event::NotWritten { place: PLACE, value: 4 }, stored(0, Some(4), false)]),
        ("compaction", vec![acknowledged(0, 4), acknowledged(1, 8), stored(0, Some(4), true), Event::End]),
        ("compaction", vec![acknowledged(1, 8), stored(1, Some(4), true), Event::End]),
        ("compaction", vec![sent(3), acknowledged(0, 3), stored(0, Some(3), true), Event::End]),
        ("owners", vec![owned("a", 1), owned("b", 2)]),
        ("owners", vec![owned("a", 2), free(), owned("b", 2)]),
        ("owners", vec![owned("a", 2), free(), owned("b", 1)]),
        ("commits", vec![owned("a", 1), committed(5, Some(1))]),
        ("commits", vec![owned("a", 1), commits(1, b(), 5), committed(5, Some(1))]),
        ("commits", vec![owned("b", 3), commits(1, b(), 5), committed(5, Some(1))]),
        ("commits", vec![owned("a", 1), commits(1, a(), 5), committed(6, Some(1))]),
        ("commits", vec![owned("a", 1), commits(1, outsider(), 0), committed(0, Some(1))]),
        (
            "commits",
            vec![
                owned("a", 1),
                commits(1, a(), 5),
                commits(2, a(), 4),
                committed(5, Some(1)),
                committed(4, Some(2)),
            ],
        ),
        ("commits", vec![committed(3, None), committed(4, None)]),
        ("durable commits", vec![Event::CommitAccepted { commit: 1 }]),
        ("durable commits", vec![committed(1, None), Event::CommitAccepted { commit: 1 }]),
        (
            "durable commits",
            vec![
                owned("a", 1),
                commits(1, a(), 5),
                committed(5, Some(1)),
                Event::CommitAccepted { commit: 2 },
            ],
        ),
        ("replay", vec![compared("x", "y")]),
        ("replay", vec![compared("x", "x"), compared("", "x")]),
        ("replay", vec![compared("x", "")]),
        ("delivery", vec![begun(a(), 0, None)]),
        ("delivery", vec![owned("b", 2), processed(a(), 0)]),
        ("delivery", vec![owned("a", 1), free(), processed(a(), 0)]),
        ("order", vec![owned("a", 1), processed(a(), 1)]),
        ("order", vec![owned("a", 1), processed(a(), 0), processed(a(), 2)]),
        ("order", vec![committed(3, None), owned("a", 1), processed(a(), 4)]),
        ("repeats", vec![owned("a", 1), committed(3, None), begun(a(), 0, None)]),
        ("repeats", vec![owned("a", 1), begun(a(), 0, None), processed(a(), 0), processed(a(), 0)]),
        ("repeats", vec![owned("a", 1), committed(3, None), begun(a(), 2, Some(3))]),
        ("kept", vec![revoked(true)]),
        ("kept", vec![revoked(false), revoked(true)]),
        ("kept", vec![lost]),
        ("sessions", vec![expired(true, 10, 0)]),
        ("sessions", vec![expired(false, 9, 0)]),
        ("sessions", vec![expired(true, 0, 19)]),
        ("handover", vec![drained(0, 0)]),
        ("handover", vec![drained(2, 0)]),
        ("handover", vec![drained(1, 1)]),
    ];
    for (number, (name, history)) in bad.into_iter().enumerate() {
        assert_eq!(noticed(history.clone()), Some(name), "bad history {number}: {history:?}");
    }
}
