//! Tests of order, retries and sequences; the last one against a model of a broker.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::base::TopicId;
use crate::env::Rng;

const ID: Identity = Identity { producer_id: 1, producer_epoch: 0 };

fn partition(index: i32) -> TopicPartition {
    TopicPartition { topic_id: TopicId([7; 16]), partition: index }
}

fn in_flight(order: Order) -> InFlight<u32> {
    InFlight::new(order, Backoff::new(std::sync::Arc::new(Rng::seeded(3))))
}

fn sequenced(batches: u32) -> InFlight<u32> {
    let mut all = in_flight(Order::Sequenced);
    all.set_identity(ID);
    for batch in 0..batches {
        all.add(partition(0), batch, 10, Duration::from_secs(120));
    }
    all
}

fn refused(kind: ErrorKind) -> Answer {
    Answer::Refused { kind, retriable: kind.is_retriable(), outcome: kind.row().outcome }
}

/// Request, base sequence and batch of everything that can go now.
fn send_all(all: &mut InFlight<u32>, now: Duration) -> Vec<(i64, i32, u32)> {
    let mut sent = Vec::new();
    while let Some(sending) = all.next_to_send(now) {
        sent.push((sending.request, sending.stamp.base_sequence, *sending.batch));
    }
    sent
}

const LATER: Duration = Duration::from_secs(2);

#[test]
fn sequences_follow_the_record_counts() {
    let mut all = sequenced(3);
    assert_eq!(send_all(&mut all, Duration::ZERO), [(0, 0, 0), (1, 10, 1), (2, 20, 2)]);
}

#[test]
fn sequences_wrap_to_zero() {
    let mut all = sequenced(0);
    for count in [i32::MAX, 2, 1] {
        all.add(partition(0), 0, count, LATER);
    }
    let sequences: Vec<i32> = send_all(&mut all, Duration::ZERO).iter().map(|sent| sent.1).collect();
    assert_eq!(sequences, [0, i32::MAX, 1]);
}

#[test]
fn a_lane_takes_five_batches_and_one_without_sequences() {
    assert!(sequenced(4).has_room(partition(0)));
    assert!(!sequenced(5).has_room(partition(0)));
    assert!(sequenced(5).has_room(partition(1)));
    let mut plain = in_flight(Order::OneByOne);
    plain.add(partition(0), 0, 1, LATER);
    assert!(!plain.has_room(partition(0)));
    let sent = plain.next_to_send(Duration::ZERO).expect("there is one");
    assert_eq!(sent.stamp, ProducerFields::NONE);
}

#[test]
fn after_a_lost_connection_everything_unanswered_goes_again_in_order() {
    let mut all = sequenced(4);
    send_all(&mut all, Duration::ZERO);
    assert!(all.answered(1, Answer::Stored, Duration::ZERO).is_some());
    all.disconnected();
    assert!(all.answered(0, Answer::Stored, Duration::ZERO).is_none(), "an answer of the old connection");
    assert_eq!(send_all(&mut all, Duration::ZERO), [(4, 0, 0), (5, 20, 2), (6, 30, 3)]);
}

#[test]
fn a_retry_goes_before_those_that_were_refused_behind_it() {
    let mut all = sequenced(3);
    send_all(&mut all, Duration::ZERO);
    assert!(all.answered(0, refused(ErrorKind::DiskFull), Duration::ZERO).is_none());
    assert!(all.answered(1, refused(ErrorKind::OutOfOrderSequence), Duration::ZERO).is_none());
    assert!(all.answered(2, refused(ErrorKind::OutOfOrderSequence), Duration::ZERO).is_none());
    assert_eq!(send_all(&mut all, Duration::ZERO), [], "the first one waits");
    assert!(all.next_wake(Duration::ZERO).is_some_and(|wake| wake <= Duration::from_millis(50)));
    assert_eq!(send_all(&mut all, LATER), [(3, 0, 0), (4, 10, 1), (5, 20, 2)]);
}

#[test]
fn behind_a_final_failure_the_rest_goes_on_under_a_new_id() {
    let mut all = sequenced(3);
    send_all(&mut all, Duration::ZERO);
    let settled = all.answered(0, refused(ErrorKind::InvalidTimestamp), Duration::ZERO).expect("final");
    assert_eq!((settled.batch, settled.verdict), (0, Verdict::Refused(Outcome::NotWritten)));
    assert!(!all.has_room(partition(0)));
    assert!(all.answered(1, refused(ErrorKind::OutOfOrderSequence), Duration::ZERO).is_none());
    assert!(!all.wants_identity());
    assert!(all.answered(2, refused(ErrorKind::OutOfOrderSequence), Duration::ZERO).is_none());
    assert!(all.wants_identity());
    assert_eq!(send_all(&mut all, LATER), []);
    all.set_identity(Identity { producer_id: 2, producer_epoch: 0 });
    assert_eq!(send_all(&mut all, LATER), [(3, 0, 1), (4, 10, 2)]);
}

#[test]
fn a_refused_sequence_fails_what_is_in_flight_and_asks_for_a_new_id() {
    for kind in [ErrorKind::OutOfOrderSequence, ErrorKind::ProducerFenced] {
        let mut all = sequenced(3);
        send_all(&mut all, Duration::ZERO);
        for request in 0..3 {
            let settled = all.answered(request, refused(kind), Duration::ZERO).expect("final");
            assert_eq!(settled.verdict, Verdict::Refused(Outcome::NotWritten), "{kind:?} {request}");
        }
        assert!(all.wants_identity() && all.is_empty() && all.has_room(partition(0)));
    }
}

#[test]
fn what_expires_says_whether_it_was_ever_sent() {
    let mut all = sequenced(2);
    let sent = all.next_to_send(Duration::ZERO).map(|sending| *sending.batch);
    assert_eq!(sent, Some(0));
    let expired = all.expire(Duration::from_secs(120));
    let verdicts: Vec<_> = expired.iter().map(|settled| settled.verdict).collect();
    assert_eq!(verdicts, [Verdict::Expired(Outcome::Unknown), Verdict::Expired(Outcome::NotWritten)]);
    assert!(all.is_empty() && all.wants_identity());
}

#[test]
fn an_attempt_without_answer_makes_a_later_failure_uncertain() {
    let mut all = sequenced(1);
    send_all(&mut all, Duration::ZERO);
    all.disconnected();
    send_all(&mut all, Duration::ZERO);
    let settled = all.answered(1, refused(ErrorKind::TopicNotFound), Duration::ZERO).expect("final");
    assert_eq!(settled.verdict, Verdict::Refused(Outcome::Unknown));
}

#[test]
fn lanes_take_turns_and_do_not_hold_each_other_up() {
    let mut all = sequenced(2);
    all.add(partition(1), 100, 1, LATER);
    assert_eq!(all.next_to_send(Duration::ZERO).map(|sending| *sending.batch), Some(0));
    assert_eq!(all.next_to_send(Duration::ZERO).map(|sending| *sending.batch), Some(100));
    assert!(all.answered(0, refused(ErrorKind::DiskFull), Duration::ZERO).is_none());
    all.add(partition(1), 101, 1, LATER);
    assert_eq!(send_all(&mut all, Duration::ZERO).iter().map(|sent| sent.2).collect::<Vec<_>>(), [101]);
}

/// A partition log that checks sequences as the broker does.
#[derive(Default)]
struct ModelLog {
    batches: Vec<u32>,
    /// Last sequence of each producer id.
    last: HashMap<i64, i32>,
}

impl ModelLog {
    fn append(&mut self, request: &ModelRequest) -> Answer {
        let end = request.stamp.base_sequence + request.record_count - 1;
        let last = self.last.get(&request.stamp.producer_id).copied().unwrap_or(-1);
        if end <= last {
            return Answer::Stored;
        }
        if request.stamp.base_sequence != last + 1 {
            return refused(ErrorKind::OutOfOrderSequence);
        }
        self.last.insert(request.stamp.producer_id, end);
        self.batches.push(request.batch);
        Answer::Stored
    }
}

#[derive(Clone, Copy)]
struct ModelRequest {
    request: i64,
    partition: i32,
    stamp: ProducerFields,
    record_count: i32,
    batch: u32,
}

/// Broker, connection and clock around one [`InFlight`].
struct World {
    all: InFlight<(i32, i32, u32)>,
    logs: [ModelLog; 2],
    wire: VecDeque<ModelRequest>,
    answers: VecDeque<(i64, Answer)>,
    now: Duration,
    added: u32,
    identities: i64,
    settled: BTreeMap<u32, (i32, Verdict)>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Add {
        partition: i32,
        record_count: i32,
    },
    Send,
    Serve,
    /// The broker fails a batch; `written` says whether it is in the log nevertheless.
    Fail {
        kind: ErrorKind,
        written: bool,
    },
    Answer,
    Disconnect,
    Pass {
        ms: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..2i32, 1..4i32).prop_map(|(partition, record_count)| Step::Add { partition, record_count }),
        6 => Just(Step::Send),
        6 => Just(Step::Serve),
        1 => Just(Step::Fail { kind: ErrorKind::DiskFull, written: false }),
        1 => Just(Step::Fail { kind: ErrorKind::InvalidTimestamp, written: false }),
        1 => any::<bool>().prop_map(|written| Step::Fail { kind: ErrorKind::StorageError, written }),
        1 => any::<bool>().prop_map(|written| Step::Fail { kind: ErrorKind::Internal, written }),
        1 => Just(Step::Fail { kind: ErrorKind::ProducerFenced, written: false }),
        6 => Just(Step::Answer),
        1 => Just(Step::Disconnect),
        2 => (1..3_000u64).prop_map(|ms| Step::Pass { ms }),
    ]
}

impl World {
    fn new() -> Self {
        Self {
            all: InFlight::new(Order::Sequenced, Backoff::new(std::sync::Arc::new(Rng::seeded(5)))),
            logs: Default::default(),
            wire: VecDeque::new(),
            answers: VecDeque::new(),
            now: Duration::ZERO,
            added: 0,
            identities: 0,
            settled: BTreeMap::new(),
        }
    }

    fn settle(&mut self, settled: Settled<(i32, i32, u32)>) {
        let (partition, _, batch) = settled.batch;
        let before = self.settled.insert(batch, (partition, settled.verdict));
        assert!(before.is_none(), "batch {batch} left twice");
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Add { partition: index, record_count } => {
                if self.all.has_room(partition(index)) {
                    let deadline = self.now + Duration::from_secs(5);
                    self.all.add(partition(index), (index, record_count, self.added), record_count, deadline);
                    self.added += 1;
                }
            }
            Step::Send => self.send(),
            Step::Serve => {
                if let Some(request) = self.wire.pop_front() {
                    let answer = self.logs[request.partition as usize].append(&request);
                    self.answers.push_back((request.request, answer));
                }
            }
            Step::Fail { kind, written } => {
                if let Some(request) = self.wire.pop_front() {
                    if written {
                        self.logs[request.partition as usize].append(&request);
                    }
                    self.answers.push_back((request.request, refused(kind)));
                }
            }
            Step::Answer => {
                if let Some((request, answer)) = self.answers.pop_front()
                    && let Some(settled) = self.all.answered(request, answer, self.now)
                {
                    self.settle(settled);
                }
            }
            Step::Disconnect => {
                self.wire.clear();
                self.answers.clear();
                self.all.disconnected();
            }
            Step::Pass { ms } => {
                self.now += Duration::from_millis(ms);
                for settled in self.all.expire(self.now) {
                    self.settle(settled);
                }
            }
        }
    }

    fn send(&mut self) {
        if self.all.wants_identity() {
            self.identities += 1;
            self.all.set_identity(Identity { producer_id: self.identities, producer_epoch: 0 });
        }
        if let Some(Sending { request, stamp, batch }) = self.all.next_to_send(self.now) {
            let (partition, record_count, batch) = *batch;
            self.wire.push_back(ModelRequest { request, partition, stamp, record_count, batch });
        }
    }

    /// Serves everything until nothing is left.
    fn finish(&mut self) {
        for _ in 0..10_000 {
            if self.all.is_empty() {
                return;
            }
            for step in [Step::Send, Step::Serve, Step::Answer, Step::Pass { ms: 1 }] {
                self.take(step);
            }
        }
        panic!("batches never left");
    }

    fn check(&self) {
        assert_eq!(self.settled.len(), self.added as usize, "each batch leaves once");
        for (index, log) in self.logs.iter().enumerate() {
            assert!(log.batches.is_sorted(), "partition {index} is out of order: {:?}", log.batches);
            let stored: HashSet<u32> = log.batches.iter().copied().collect();
            assert_eq!(
                stored.len(),
                log.batches.len(),
                "stored twice in partition {index}: {:?}",
                log.batches
            );
            for (batch, (partition, verdict)) in &self.settled {
                if *partition as usize != index {
                    continue;
                }
                match verdict {
                    Verdict::Stored => assert!(stored.contains(batch), "{batch} is missing"),
                    Verdict::Refused(Outcome::NotWritten) | Verdict::Expired(Outcome::NotWritten) => {
                        assert!(!stored.contains(batch), "{batch} was said not to be written");
                    }
                    Verdict::Refused(_) | Verdict::Expired(_) => {}
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn nothing_is_lost_doubled_or_reordered(steps in proptest::collection::vec(step(), 1..200)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.finish();
        world.check();
    }
}
