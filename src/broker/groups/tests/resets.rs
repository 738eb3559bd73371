//! Resets set all that they name or nothing, whatever happens meanwhile.

use futures_util::FutureExt;

use super::{OffsetCommit, PARTITIONS, TOPIC, World, group, told};
use crate::base::{Error, ErrorKind, Outcome};
use crate::broker::topics::{CreateTopic, DeleteTopic};

fn place(topic: &str, partition: i32, metadata_bytes: usize) -> OffsetCommit {
    OffsetCommit {
        topic: topic.to_owned(),
        topic_id: None,
        partition,
        offset: 0,
        leader_epoch: None,
        metadata: "m".repeat(metadata_bytes),
    }
}

impl World {
    async fn reset(&self, places: Vec<OffsetCommit>) -> Result<Vec<Result<(), Error>>, Error> {
        self.broker.reset_offsets(&group(), places).await
    }

    async fn create(&self, topic: &str, partition_count: i32) {
        let topic = CreateTopic { name: topic.to_owned(), partition_count, ..CreateTopic::default() };
        self.broker.create_topic(topic).await.unwrap();
    }
}

/// All partitions, and before them one of another topic.
fn many() -> Vec<OffsetCommit> {
    let all = (0..PARTITIONS).map(|number| place(TOPIC, number, 0));
    std::iter::once(place("visits", 0, 0)).chain(all).collect()
}

#[tokio::test]
async fn a_topic_that_goes_while_places_are_looked_at_leaves_all_as_they_are() {
    for comes_back in [false, true] {
        let world = World::start(1 << 30).await;
        world.create("visits", 1).await;
        assert!(world.reset(many()).await.unwrap().iter().all(Result::is_ok), "all partitions are open");
        world.broker.delete_group(&group()).await.unwrap();

        let mut reset = Box::pin(world.reset(many()));
        assert!((&mut reset).now_or_never().is_none(), "it is about to look at the others");
        let delete = DeleteTopic { name: "visits".to_owned(), ..DeleteTopic::default() };
        world.broker.delete_topic(delete).await.unwrap();
        if comes_back {
            world.create("visits", 1).await;
        }
        let mut answers = reset.await.unwrap().into_iter().map(|set| set.expect_err("none is set"));
        let wrong = if comes_back { ErrorKind::UnknownTopicId } else { ErrorKind::TopicNotFound };
        assert_eq!(told(answers.next().unwrap()), (wrong, Outcome::NotWritten));
        assert!(answers.all(|left| left.kind == ErrorKind::InvalidRequest));
        assert!(world.committed().await.is_empty());
    }
}

#[tokio::test]
async fn what_one_batch_can_not_hold_is_refused_whole() {
    let world = World::start(1 << 30).await;
    world.create("wide", 1_100).await;
    let places = |count: i32| (0..count).map(|number| place("wide", number, 4_000)).collect();
    let refused = world.reset(places(1_100)).await.unwrap_err();
    assert!(
        refused.message.contains("group 'g'") && refused.message.contains("in several requests"),
        "{refused}"
    );
    assert_eq!(told(refused), (ErrorKind::InvalidRequest, Outcome::NotWritten));
    assert!(world.committed().await.is_empty());
    assert!(world.reset(places(900)).await.unwrap().iter().all(Result::is_ok));
    assert_eq!(world.committed().await.len(), 900);
}

#[tokio::test]
async fn a_reset_of_many_partitions_lets_others_have_their_turn() {
    let world = World::start(1 << 30).await;
    world.create("visits", 1).await;
    // The last place is wrong: so nothing is written, which would take turns of its own.
    let wrong = || many().into_iter().chain([place(TOPIC, 0, 5_000)]).collect();
    world.reset(wrong()).await.unwrap();
    let mut reset = Box::pin(world.reset(wrong()));
    let mut turns = 0;
    while (&mut reset).now_or_never().is_none() {
        turns += 1;
        tokio::task::yield_now().await;
    }
    assert_eq!(turns, many().len() / 16);
}
