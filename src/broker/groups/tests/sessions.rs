//! Open streams of members, without the connections behind them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinHandle;

use super::{TOPIC, World, joining};
use crate::base::{Error, ErrorKind, Offset, TopicPartition};
use crate::broker::Broker;
use crate::broker::groups::session::{CommitFrame, OutOfRange, Session, SessionEvent, SessionOptions};
use crate::broker::groups::{JoinRequest, OffsetCommit};
use crate::broker::request::{Content, Form};
use crate::record::{BatchBuilder, Codec, NewRecord, ValidBatch};

/// Longest wait for anything: a hang is a failure, and no test is about time.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A member that owns all partitions of the topic.
struct Reader {
    session: Session,
    _targets: Targets,
}

/// Works out who reads what, as long as a test goes on.
struct Targets(JoinHandle<()>);

impl Drop for Targets {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn targets(broker: &Arc<Broker>) -> Targets {
    Targets(tokio::spawn(broker.clone().look_after_groups()))
}

async fn produce(broker: &Broker, partition: i32, count: usize) {
    let partition = broker.partition(TOPIC, None, partition).await.unwrap();
    let mut builder = BatchBuilder::new();
    for _ in 0..count {
        builder.append(&NewRecord { timestamp: 1, key: None, value: Some(b"x"), headers: &[] }).unwrap();
    }
    let batch = ValidBatch::internal(&mut builder, Codec::None).unwrap();
    let appended = partition.append(batch, None).await.unwrap();
    partition.committed(appended.last_offset).await.unwrap();
}

/// What a member is told of partition 0.
#[derive(PartialEq, Debug)]
enum Seen {
    Records(Offset, i64),
    Error(ErrorKind),
    Committed(Vec<Result<(), ErrorKind>>),
}

impl Reader {
    async fn open(world: &World) -> Self {
        Self::join(world, joining("reader")).await
    }

    async fn join(world: &World, request: JoinRequest) -> Self {
        let targets = targets(&world.broker);
        let out_of_range = OutOfRange::Error;
        let options =
            SessionOptions { form: Form::Records, max_bytes: 1 << 20, credit_bytes: None, out_of_range };
        let session = Session::open(&world.broker, request, options).await.unwrap();
        Self { session, _targets: targets }
    }

    /// The next event, where every wait of the session is broken off as often as there is one.
    async fn next(&mut self) -> Result<SessionEvent, Error> {
        let next = async {
            loop {
                if let Some(event) = self.session.next(true).now_or_never() {
                    return event;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("something is told")
    }

    /// The partitions that it is told to own.
    async fn assigned(&mut self) -> Vec<TopicPartition> {
        loop {
            if let SessionEvent::Assigned(partitions) = self.next().await.unwrap() {
                return partitions.into_iter().map(|partition| partition.id).collect();
            }
        }
    }

    /// The next thing that is no empty answer of a partition.
    async fn sees(&mut self) -> Seen {
        loop {
            let (answer, sequence) = match self.next().await.unwrap() {
                SessionEvent::Records(answer, sequence) => (answer, sequence),
                SessionEvent::Committed(result) => {
                    let results = result.partitions.into_iter();
                    return Seen::Committed(
                        results.map(|(.., result)| result.map_err(|error| error.kind)).collect(),
                    );
                }
                _ => continue,
            };
            match answer.partition.result.map(|fetched| fetched.content) {
                Ok(Content::Records(records)) if records.is_empty() => {}
                Ok(Content::Records(records)) => return Seen::Records(records[0].offset, sequence),
                Ok(other) => panic!("{other:?}"),
                Err(error) => return Seen::Error(error.kind),
            }
        }
    }

    /// Works while nothing can be told.
    async fn works_untold(&mut self) {
        for _ in 0..1_000 {
            assert!(self.session.next(false).now_or_never().is_none(), "nothing is told");
            tokio::task::yield_now().await;
        }
    }

    /// Works until nobody waits for it any more.
    async fn is_not_missed(&mut self, world: &World) {
        let host = world.broker.group_host(&super::group()).await.unwrap();
        let works = async {
            while host.next_timer().is_some() {
                self.commit([place(0)]);
                assert_eq!(self.sees().await, Seen::Committed(vec![Ok(())]));
            }
        };
        tokio::time::timeout(PATIENCE, works).await.expect("nobody waits for a member that is there");
    }

    /// Commits these offsets of partition 0.
    fn commit(&mut self, offsets: impl IntoIterator<Item = OffsetCommit>) {
        let offsets = offsets.into_iter().map(|offset| (offset, None)).collect();
        self.session.commit(CommitFrame { sequence: 1, offsets });
    }
}

/// An offset of partition 0.
fn place(offset: Offset) -> OffsetCommit {
    OffsetCommit {
        topic: TOPIC.to_owned(),
        topic_id: None,
        partition: 0,
        offset,
        leader_epoch: None,
        metadata: String::new(),
    }
}

#[tokio::test]
async fn a_session_that_is_broken_off_at_every_wait_loses_nothing() {
    let mut world = World::start(1 << 30).await;
    produce(&world.broker, 0, 3).await;
    // After a restart partitions are opened at their first use.
    world.restart().await;
    let mut reader = Reader::open(&world).await;
    assert_eq!(reader.assigned().await.len(), super::PARTITIONS as usize);
    assert_eq!(reader.sees().await, Seen::Records(0, 0));
}

#[tokio::test]
async fn what_was_sought_while_paused_is_read_with_its_epoch_and_only_once_it_is_resumed() {
    let world = World::start(1 << 30).await;
    produce(&world.broker, 0, 3).await;
    let mut reader = Reader::open(&world).await;
    let id = reader.assigned().await[0];
    assert_eq!(reader.sees().await, Seen::Records(0, 0));
    reader.session.pause(&[id]);
    reader.session.seek(id, 1, Some(7), 1).unwrap();
    reader.commit([place(1)]);
    assert_eq!(reader.sees().await, Seen::Committed(vec![Ok(())]), "nothing is read");
    reader.session.resume(&[id]);
    assert_eq!(reader.sees().await, Seen::Error(ErrorKind::Diverged), "no record has this epoch");

    reader.session.pause(&[id]);
    reader.session.seek(id, 1, None, 2).unwrap();
    reader.commit([place(2)]);
    assert_eq!(reader.sees().await, Seen::Committed(vec![Ok(())]), "also after an error it is paused");
    reader.session.resume(&[id]);
    assert_eq!(reader.sees().await, Seen::Records(1, 2));
}

#[tokio::test]
async fn an_error_that_was_not_told_goes_with_the_place_that_gave_it() {
    let world = World::start(1 << 30).await;
    produce(&world.broker, 0, 3).await;
    let mut reader = Reader::open(&world).await;
    let id = reader.assigned().await[0];
    assert_eq!(reader.sees().await, Seen::Records(0, 0));
    reader.session.seek(id, 1, Some(7), 1).unwrap();
    reader.works_untold().await;
    reader.session.seek(id, 1, None, 2).unwrap();
    assert_eq!(reader.sees().await, Seen::Records(1, 2));
}

#[tokio::test]
async fn an_error_that_was_not_told_survives_a_pause() {
    let world = World::start(1 << 30).await;
    produce(&world.broker, 0, 3).await;
    let mut reader = Reader::open(&world).await;
    let id = reader.assigned().await[0];
    assert_eq!(reader.sees().await, Seen::Records(0, 0));
    reader.session.seek(id, 1, Some(7), 1).unwrap();
    reader.works_untold().await;
    reader.session.pause(&[id]);
    reader.session.resume(&[id]);
    assert_eq!(reader.sees().await, Seen::Error(ErrorKind::Diverged));
    reader.session.seek(id, 1, None, 2).unwrap();
    assert_eq!(reader.sees().await, Seen::Records(1, 2));
}

#[tokio::test]
async fn a_pause_counts_also_before_a_partition_is_opened() {
    let world = World::start(1 << 30).await;
    produce(&world.broker, 0, 3).await;
    let mut reader = Reader::open(&world).await;
    let id = reader.assigned().await[0];
    reader.session.pause(&[id]);
    reader.commit([place(1)]);
    assert_eq!(reader.sees().await, Seen::Committed(vec![Ok(())]));
    reader.session.seek(id, 2, None, 1).unwrap();
    reader.session.resume(&[id]);
    assert_eq!(reader.sees().await, Seen::Records(2, 1));
}

#[tokio::test]
async fn commits_that_are_carried_out_at_once_are_checked_one_by_one() {
    let world = World::start(1 << 30).await;
    let mut reader = Reader::open(&world).await;
    reader.assigned().await;
    let other = Some(crate::base::TopicId([7; 16]));
    reader.commit([place(1)]);
    reader.commit([OffsetCommit { metadata: "m".repeat(5_000), ..place(4) }, place(2)]);
    reader.commit([place(3), place(-1)]);
    reader.commit([OffsetCommit { topic_id: other, ..place(5) }]);
    let refused = || Err(ErrorKind::InvalidRequest);
    let expected = [
        vec![Ok(())],
        vec![refused(), Ok(())],
        vec![Ok(()), refused()],
        vec![Err(ErrorKind::UnknownTopicId)],
    ];
    for results in expected {
        assert_eq!(reader.sees().await, Seen::Committed(results));
    }
    assert_eq!(world.committed().await, [3], "the last one that is in order");
}

#[tokio::test]
async fn a_commit_that_fails_as_a_whole_is_told_and_the_stream_lives() {
    let world = World::start(1 << 30).await;
    let mut reader = Reader::open(&world).await;
    reader.assigned().await;
    world.fail_writes(0);
    reader.commit([place(1), place(-1)]);
    let full = vec![Err(ErrorKind::DiskFull), Err(ErrorKind::DiskFull)];
    assert_eq!(reader.sees().await, Seen::Committed(full));
    world.disk.clear_faults();
    reader.commit([place(2)]);
    assert_eq!(reader.sees().await, Seen::Committed(vec![Ok(())]));
    assert_eq!(world.committed().await, [2]);
}

#[tokio::test]
async fn the_late_word_of_a_lost_stream_ends_no_member_that_has_another_one() {
    let world = World::start(1 << 30).await;
    let mut reader = Reader::open(&world).await;
    reader.assigned().await;
    let (group, member, _) = reader.session.member();
    world.broker.disconnect_member(group, member.clone()).await.unwrap();
    reader.is_not_missed(&world).await;
}

#[tokio::test]
async fn the_late_goodbye_of_a_stream_ends_no_member_that_has_another_one() {
    for instance_id in ["", "i"] {
        let world = World::start(1 << 30).await;
        let joins = JoinRequest { instance_id: instance_id.to_owned(), ..joining("reader") };
        let mut first = Reader::join(&world, joins.clone()).await;
        first.assigned().await;
        let member_id = first.session.member().1.to_string();
        first.commit([place(1)]);
        let mut leaving = Box::pin(first.session.leave(true));
        assert!((&mut leaving).now_or_never().is_none(), "it waits for the commit");
        let mut second = Reader::join(&world, JoinRequest { member_id, ..joins }).await;
        second.assigned().await;
        leaving.await.unwrap();
        assert_eq!(world.committed().await, [1], "what was asked before the goodbye is done");
        let host = world.broker.group_host(&super::group()).await.unwrap();
        assert_eq!((world.members().await, host.next_timer()), (1, None));
        second.commit([place(2)]);
        assert_eq!(second.sees().await, Seen::Committed(vec![Ok(())]));
    }
}

#[tokio::test]
async fn a_goodbye_that_keeps_the_place_ends_no_member_that_has_a_stream() {
    let world = World::start(1 << 30).await;
    let joins = JoinRequest { instance_id: "i".to_owned(), ..joining("reader") };
    let mut reader = Reader::join(&world, joins).await;
    reader.assigned().await;
    let (group, member, _) = reader.session.member();
    world.broker.leave_group(group, member.clone(), true).await.unwrap();
    reader.is_not_missed(&world).await;
}

#[tokio::test]
async fn a_member_that_could_not_leave_is_missed_after_its_session_timeout() {
    let world = World::start(1 << 30).await;
    let mut reader = Reader::open(&world).await;
    reader.assigned().await;
    let host = world.broker.group_host(&super::group()).await.unwrap();
    assert_eq!(host.next_timer(), None);
    world.fail_writes(0);
    let left = reader.session.leave(false).await;
    assert_eq!(left.unwrap_err().kind, ErrorKind::DiskFull);
    assert!(host.next_timer().is_some(), "or it would be a member for ever");
}

#[tokio::test]
async fn a_machine_that_is_loaded_anew_misses_no_member_that_is_there() {
    let world = World::start(1 << 30).await;
    let mut reader = Reader::open(&world).await;
    reader.assigned().await;
    world.fail_writes(1);
    reader.commit((0..2_000).map(|offset| OffsetCommit { metadata: "m".repeat(4_000), ..place(offset) }));
    let Seen::Committed(results) = reader.sees().await else { panic!("it is answered") };
    assert!(results.iter().all(|result| *result == Err(ErrorKind::DiskFull)), "it was written in parts");
    world.disk.clear_faults();
    reader.is_not_missed(&world).await;
}

#[tokio::test]
async fn what_waits_is_bounded_and_counted_and_ends_without_the_member() {
    let world = World::start(1 << 30).await;
    let mut reader = Reader::open(&world).await;
    reader.assigned().await;
    let before = world.broker.budget().used_bytes();
    let mut sent = 0;
    while reader.session.has_room() {
        let metadata = "m".repeat(4_000);
        reader.commit((0..100).map(|offset| OffsetCommit { metadata: metadata.clone(), ..place(offset) }));
        sent += 1;
    }
    let taken = world.broker.budget().used_bytes() - before;
    assert!((8 << 20..9 << 20).contains(&taken), "{sent} commits take {taken} bytes");
    for told in 1..=sent {
        assert_eq!(reader.sees().await, Seen::Committed(vec![Ok(()); 100]));
        assert!(reader.session.has_room(), "after {told} answers");
    }
    let kept = world.broker.budget().used_bytes() - before;
    assert!(kept < 10_000, "only the newest offset: {kept} bytes");
}
