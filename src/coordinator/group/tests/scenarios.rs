//! Scenarios by hand: what a member is told, and who else hears of it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::super::command::{GroupCommand, GroupReply};
use super::super::commands::{
    DeleteGroup, DeleteOffsets, DescribeGroup, Disconnect, GetOffsets, Heartbeat, Join, Leave, ListGroups,
    Owned, TopicsChanged,
};
use super::super::errors::{
    AdminError, CommitError, DeleteOffsetError, GroupError, JoinError, MemberError, PositionError,
};
use super::super::position::Position;
use super::super::start::Start;
use super::super::views::GroupState;
use super::stage::{
    NOW, Stage, ask, fenced, group, member, names, numbers, revocation, seconds, session, view, wake,
};
use crate::base::limits::OFFSET_METADATA_BYTES_MAX;
use crate::base::{InstanceId, TopicPartition};
use crate::coordinator::{Effects, Shard, StoredRecord};

/// Member `a` with all four partitions.
fn alone() -> Stage {
    let mut stage = Stage::new();
    stage.join(stage.joining("a"));
    stage.assign();
    assert_eq!(stage.signals, [wake("a")]);
    assert_eq!(numbers(&stage.look("a")), BTreeSet::from([0, 1, 2, 3]));
    stage
}

/// Members `a` and `b` with two partitions each.
fn pair() -> Stage {
    let mut stage = alone();
    stage.join(stage.joining("b"));
    stage.assign();
    stage.look("a");
    stage.own("a", &[stage.t(0), stage.t(1)]);
    assert_eq!(numbers(&stage.look("b")), BTreeSet::from([2, 3]));
    stage
}

#[test]
fn a_partition_moves_when_its_owner_lets_go_and_the_others_stay() {
    let mut stage = alone();
    let first = stage.look("a");
    stage.join(stage.joining("b"));
    assert_eq!(stage.signals, [ask()]);
    stage.assign();
    assert_eq!(stage.signals, [wake("a")], "b has nothing to take yet");
    let asked = stage.look("a");
    assert_eq!(numbers(&asked), BTreeSet::from([0, 1]));
    assert_eq!(asked.pending_revocation, BTreeSet::from([stage.t(2), stage.t(3)]));
    assert!(asked.member_epoch > first.member_epoch);
    assert!(
        asked.assigned.iter().all(|(id, epoch)| first.assigned[id] == *epoch),
        "kept ones keep their epoch"
    );
    assert_eq!(stage.timers, [(revocation("a"), Some(seconds(60))), (session("a"), None)]);
    assert_eq!(numbers(&stage.look("b")), BTreeSet::new());
    stage.own("a", &[stage.t(0), stage.t(1), stage.t(3)]);
    assert_eq!(stage.signals, [wake("b")]);
    assert_eq!(
        stage.timers[0],
        (revocation("a"), Some(seconds(60))),
        "it answers, so it gets time for the rest"
    );
    assert_eq!(numbers(&stage.look("b")), BTreeSet::from([2]), "what is free is taken at once");
    stage.own("a", &[stage.t(0), stage.t(1)]);
    assert_eq!(stage.timers[0], (revocation("a"), None));
    let taken = stage.look("b");
    assert!(taken.assigned.values().all(|epoch| *epoch > first.member_epoch));
    stage.look("b");
    assert_eq!((stage.written, stage.signals.len()), (0, 0), "nothing more to do");
}

#[test]
fn a_member_that_comes_back_goes_on() {
    let mut stage = pair();
    let before = stage.look("a");
    let disconnect = Disconnect { group: group(), member_id: member("a") };
    assert_eq!(stage.run(GroupCommand::Disconnect(disconnect)), Ok(GroupReply::Done));
    assert_eq!(stage.signals, [wake("a")], "another stream of it may stand");
    assert_eq!((stage.written, &stage.timers[..]), (0, &[(session("a"), Some(seconds(10)))][..]));
    let back = Join { member_id: Some(member("a")), ..stage.joining("x") };
    assert_eq!(stage.join(back), before);
    assert_eq!((stage.written, stage.signals.len()), (0, 0));
    assert_eq!(stage.timers, [(session("a"), None)]);
    let again = stage.joining("b");
    let (same, of_b) = (stage.join(again), stage.look("b"));
    assert_eq!(same, of_b, "the same join again makes nobody new");
    let stranger = Join { member_id: Some(member("z")), ..stage.joining("y") };
    let new = stage.join(stranger);
    assert_eq!((new.member_id, new.assigned), (member("y"), BTreeMap::new()));
}

#[test]
fn who_comes_back_without_what_it_was_to_let_go_has_let_go() {
    let mut stage = alone();
    let first = stage.look("a");
    stage.join(stage.joining("b"));
    stage.assign();
    stage.look("a");
    let owned = |partition| Owned { id: stage.t(partition), epoch: first.assigned[&stage.t(partition)] };
    let old = Owned { epoch: 0, ..owned(3) };
    let owned = vec![owned(0), owned(1), owned(2), old];
    let back = Join { member_id: Some(member("a")), owned, ..stage.joining("x") };
    let view = stage.join(back);
    assert_eq!(view.pending_revocation, BTreeSet::from([stage.t(2)]), "3 was owned in another life");
    assert_eq!(stage.signals, [wake("b")]);
}

#[test]
fn a_lost_answer_is_given_again_and_an_older_epoch_is_fenced() {
    let mut stage = alone();
    let first = stage.look("a");
    stage.join(stage.joining("b"));
    stage.assign();
    let asked = stage.look("a");
    let late = Heartbeat { owned: Some(BTreeSet::new()), ..stage.beat("a", first.member_epoch) };
    assert_eq!(
        view(stage.run(GroupCommand::Heartbeat(late))),
        asked,
        "what it says of partitions does not count"
    );
    let own = |partitions: &[i32]| partitions.iter().map(|p| stage.t(*p)).collect::<Vec<_>>();
    let (two, all) = (own(&[0, 1]), own(&[0, 1, 2, 3]));
    stage.own("a", &two);
    let leave = Leave { group: group(), member_id: member("b"), keep: false };
    assert_eq!(stage.run(GroupCommand::Leave(leave)), Ok(GroupReply::Done));
    stage.assign();
    stage.look("a");
    let old = stage.beat("a", first.member_epoch);
    let current = stage.epoch_of("a");
    let refused = MemberError::Fenced { current, given: first.member_epoch };
    assert_eq!(stage.run(GroupCommand::Heartbeat(old)), Err(GroupError::Member(refused)));
    assert_eq!(numbers(&stage.own("a", &all)).len(), 4);
}

#[test]
fn a_successor_takes_over_and_nobody_else_notices() {
    let mut stage = Stage::new();
    stage.join(stage.joining("a"));
    stage.join_static("s1");
    stage.assign();
    let (a, before) = (stage.look("a"), stage.look("s1"));
    let after = stage.join_static("s2");
    assert_eq!(stage.signals, [fenced("s1")]);
    assert_eq!(numbers(&after), numbers(&before));
    assert!(after.assigned.values().all(|epoch| *epoch > before.member_epoch), "an epoch of its own");
    assert_eq!(stage.look("a"), a);
    assert_eq!(stage.shard.assignment_input(&group(), &stage.topics), None, "no new target");
    let old = stage.commit(Some(("s1", before.member_epoch)), vec![stage.position(2, 5)]);
    assert!(matches!(old, Err(GroupError::Commit(CommitError::Member(MemberError::Unknown { .. })))));
    let other = Join {
        instance_id: Some(InstanceId::stored("i")),
        subscription: names(&["t", "u"]),
        ..stage.joining("s3")
    };
    stage.join(other);
    assert!(stage.signals.contains(&ask()), "it wants something else");
}

#[test]
fn a_static_member_keeps_its_place_for_its_session_timeout() {
    let mut stage = Stage::new();
    stage.join_static("s");
    let leave = |name| GroupCommand::Leave(Leave { group: group(), member_id: member(name), keep: true });
    assert_eq!(stage.run(leave("s")), Ok(GroupReply::Done));
    assert_eq!((stage.written, &stage.timers[..]), (0, &[(session("s"), Some(seconds(10)))][..]));
    stage.expire(session("s"));
    assert_eq!(stage.signals, [fenced("s")]);
    assert_eq!(stage.shard.counts().members, 0);
    stage.join(stage.joining("d"));
    stage.run(leave("d")).expect("it leaves");
    assert_eq!(stage.signals, [fenced("d")], "one that is not static leaves at once");
}

#[test]
fn a_leave_hands_over_at_once() {
    let mut stage = pair();
    stage.join(stage.joining("c"));
    stage.assign();
    let target = |stage: &Stage, name| {
        super::super::state::partitions(
            stage.shard.groups[&group()].member(&member(name)).expect("a member").target,
        )
        .collect::<Vec<_>>()
    };
    let moves = target(&stage, "c");
    assert_eq!(moves.len(), 1);
    let from = if moves[0].partition < 2 { "a" } else { "b" };
    stage.look(from);
    let leave = Leave { group: group(), member_id: member(from), keep: false };
    stage.run(GroupCommand::Leave(leave)).expect("it leaves");
    assert_eq!(stage.signals, [ask(), fenced(from), wake("c")]);
    assert_eq!(stage.look("c").assigned.keys().copied().collect::<Vec<_>>(), moves);
}

#[test]
fn silence_and_unanswered_revocations_end_a_member() {
    let mut stage = alone();
    stage.expire(revocation("a"));
    assert_eq!(stage.written, 0, "nothing was to be let go");
    stage.join(stage.joining("b"));
    stage.assign();
    stage.look("a");
    stage.join(stage.joining("c"));
    stage.assign();
    stage.look("a");
    assert_eq!(stage.timers, [(session("a"), None)], "more to let go gives no more time");
    stage.expire(revocation("a"));
    assert_eq!(stage.signals[..2], [ask(), fenced("a")]);
    assert!(stage.signals.contains(&wake("b")), "{:?}", stage.signals);
    stage.expire(session("b"));
    assert_eq!(stage.signals[..2], [ask(), fenced("b")]);
    stage.expire(session("c"));
    assert_eq!(stage.signals, [fenced("c")], "nobody is left to assign to");
    let unknown = stage.beat("a", 1);
    let result = stage.run(GroupCommand::Heartbeat(unknown));
    assert!(matches!(result, Err(GroupError::Member(MemberError::Unknown { .. }))));
}

#[test]
fn a_member_without_a_stream_is_heard_by_its_heartbeats() {
    let mut stage = Stage::new();
    let join = Join { connected: false, ..stage.joining("a") };
    assert_eq!(stage.join(join).heartbeat_interval_ms, 3_333);
    assert_eq!(stage.timers, [(session("a"), Some(seconds(10)))]);
    let beat = Heartbeat { connected: false, ..stage.beat("a", 1) };
    stage.run(GroupCommand::Heartbeat(beat)).expect("a member");
    assert_eq!(stage.timers, [(session("a"), Some(seconds(10)))]);
}

#[test]
fn a_load_arms_everything_in_full() {
    let mut stage = alone();
    stage.join(stage.joining("b"));
    stage.assign();
    stage.look("a");
    stage.join(stage.joining("c"));
    let mut out = Effects::new();
    stage.shard.loaded(NOW, &mut out);
    assert_eq!(out.signals, [wake("a"), wake("b"), wake("c"), ask()], "those who are there say so");
    let full = [
        (session("a"), Some(seconds(10))),
        (revocation("a"), Some(seconds(60))),
        (session("b"), Some(seconds(10))),
        (session("c"), Some(seconds(10))),
    ];
    assert_eq!(out.timers, full);
    assert!(out.records.is_empty());
}

/// What a group that begins at the end would have looked up.
fn to_start(stage: &Stage) -> Vec<String> {
    stage.input().to_start.iter().map(|facts| facts.name.to_string()).collect()
}

fn from_the_end(stage: &Stage, fresh: &str, topics: &[&str]) -> Join {
    Join { start: Start::Latest, subscription: names(topics), ..stage.joining(fresh) }
}

#[test]
fn a_group_begins_where_it_says_with_topics_that_were_there() {
    let mut stage = Stage::new();
    stage.join(from_the_end(&stage, "a", &["t", "later"]));
    assert_eq!(to_start(&stage), ["t"]);
    let starts: Vec<Position> = (0..4).map(|partition| stage.position(partition, 100)).collect();
    let input = stage.input();
    stage.install(&input, starts);
    stage.topics.put("later", 1);
    stage.topics.put("t", 5);
    stage.run(GroupCommand::TopicsChanged(TopicsChanged { topics: stage.topics.shared() })).expect("done");
    assert_eq!(stage.signals, [ask()]);
    assert_eq!(to_start(&stage), [""; 0], "what came later begins at its first record");
    stage.assign();
    let leave = Leave { group: group(), member_id: member("a"), keep: false };
    stage.run(GroupCommand::Leave(leave)).expect("it leaves");
    stage.join(from_the_end(&stage, "b", &["t", "later"]));
    assert_eq!(to_start(&stage), [""; 0], "the same subscription is no new question");
    stage.join(Join { start: Start::Earliest, ..from_the_end(&stage, "c", &["more"]) });
    stage.topics.put("more", 1);
    assert_eq!(to_start(&stage), ["later"], "nobody reads it, and the group asks for more than before");
    let mut offsets = stage.shard.groups[&group()].offsets.values();
    assert!(offsets.all(|kept| kept.position.offset == 100 && kept.committed == NOW.wall));
}

#[test]
fn a_start_replaces_no_commit() {
    let mut stage = Stage::new();
    stage.commit(None, vec![stage.position(1, 7)]).expect("nobody is there");
    stage.join(stage.joining("a"));
    let starts = vec![stage.position(0, 100), stage.position(1, 100)];
    let input = stage.input();
    stage.install(&input, starts);
    let group = &stage.shard.groups[&group()];
    let offsets: Vec<_> = group.offsets.values().map(|kept| kept.position.offset).collect();
    assert_eq!(offsets, [100, 7]);
}

#[test]
fn an_old_target_is_dropped_and_another_asked_for() {
    let mut stage = Stage::new();
    stage.join(stage.joining("a"));
    let old = stage.input();
    stage.join(stage.joining("b"));
    stage.install(&old, Vec::new());
    assert_eq!((stage.written, &stage.signals[..]), (0, &[ask()][..]));
    stage.assign();
    assert_eq!(stage.signals, [wake("a"), wake("b")]);
    stage.install(&old, Vec::new());
    assert_eq!((stage.written, stage.signals.len()), (0, 0), "there is one already");
}

#[test]
fn commits_are_of_owners() {
    let mut stage = pair();
    let epoch = stage.epoch_of("a");
    let long =
        Position { metadata: "m".repeat(OFFSET_METADATA_BYTES_MAX + 1).into(), ..stage.position(0, 1) };
    let positions = vec![stage.position(0, 3), stage.position(2, 3), stage.position(1, -1), long];
    let refused = |reason| Err(reason);
    let results = vec![
        Ok(()),
        refused(PositionError::NotOwner),
        refused(PositionError::Offset { offset: -1 }),
        refused(PositionError::Metadata { bytes: OFFSET_METADATA_BYTES_MAX + 1 }),
    ];
    assert_eq!(stage.commit(Some(("a", epoch)), positions), Ok(GroupReply::Committed(results)));
    let b = stage.epoch_of("b");
    let stale = PositionError::Stale { owned_since: b, given: b - 1 };
    let result = stage.commit(Some(("b", b - 1)), vec![stage.position(2, 3)]);
    assert_eq!(result, Ok(GroupReply::Committed(vec![Err(stale)])));
    let result = stage.commit(Some(("a", epoch + 1)), vec![stage.position(0, 4)]);
    let fenced = MemberError::Fenced { current: epoch, given: epoch + 1 };
    assert_eq!(result, Err(GroupError::Commit(CommitError::Member(fenced))));
    let result = stage.commit(None, vec![stage.position(0, 4)]);
    assert_eq!(result, Err(GroupError::Commit(CommitError::NotEmpty { members: 2 })));
    assert_eq!(stage.shard.counts().offsets, 1);
}

#[test]
fn the_owner_commits_while_it_lets_go() {
    let mut stage = alone();
    let before = stage.epoch_of("a");
    stage.join(stage.joining("b"));
    stage.assign();
    stage.look("a");
    for epoch in [before, stage.epoch_of("a")] {
        let result = stage.commit(Some(("a", epoch)), vec![stage.position(3, 9)]);
        assert_eq!(result, Ok(GroupReply::Committed(vec![Ok(())])));
    }
}

fn offsets(stage: &mut Stage, partitions: Option<BTreeSet<TopicPartition>>) -> Vec<i64> {
    let get = GetOffsets { group: group(), partitions, topics: stage.topics.shared() };
    match stage.run(GroupCommand::GetOffsets(get)) {
        Ok(GroupReply::Offsets(found)) => found.iter().map(|kept| kept.position.offset).collect(),
        other => panic!("no offsets: {other:?}"),
    }
}

#[test]
fn a_topic_made_again_has_no_offsets() {
    let mut stage = Stage::new();
    assert_eq!(offsets(&mut stage, None), [0; 0]);
    stage.commit(None, vec![stage.position(0, 4), stage.position(1, 5)]).expect("nobody is there");
    assert_eq!(offsets(&mut stage, None), [4, 5]);
    let one = Some(BTreeSet::from([stage.t(1)]));
    assert_eq!(offsets(&mut stage, one), [5]);
    stage.topics.delete("t");
    stage.topics.put("t", 4);
    assert_eq!(offsets(&mut stage, None), [0; 0]);
    stage.run(GroupCommand::TopicsChanged(TopicsChanged { topics: stage.topics.shared() })).expect("done");
    assert_eq!((stage.written, stage.shard.counts().groups), (2, 0), "a group without records is none");
}

#[test]
fn groups_are_listed_described_and_deleted() {
    let mut stage = pair();
    let epoch = stage.epoch_of("a");
    stage.commit(Some(("a", epoch)), vec![stage.position(0, 1)]).expect("the owner");
    let Ok(GroupReply::Groups(groups)) = stage.run(GroupCommand::ListGroups(ListGroups)) else { panic!() };
    assert_eq!(
        (groups.len(), groups[0].state, groups[0].members, groups[0].offsets),
        (1, GroupState::Stable, 2, 1)
    );
    let describe = || GroupCommand::DescribeGroup(DescribeGroup { group: group() });
    let Ok(GroupReply::Group(found)) = stage.run(describe()) else { panic!() };
    assert_eq!((found.group_epoch, found.target_epoch, found.members.len()), (2, 2, 2));
    assert_eq!(found.members[1].assigned.keys().copied().collect::<BTreeSet<_>>(), found.members[1].target);
    let delete = || GroupCommand::DeleteGroup(DeleteGroup { group: group() });
    assert_eq!(stage.run(delete()), Err(GroupError::Admin(AdminError::NotEmpty { members: 2 })));
    let (first, second) = (stage.position(0, 0).name(), stage.position(1, 0).name());
    let forget = DeleteOffsets { group: group(), partitions: vec![first.clone()] };
    let result = stage.run(GroupCommand::DeleteOffsets(forget.clone()));
    assert_eq!(result, Ok(GroupReply::Deleted(vec![Err(DeleteOffsetError::Subscribed)])));
    for name in ["a", "b"] {
        let leave = Leave { group: group(), member_id: member(name), keep: false };
        stage.run(GroupCommand::Leave(leave)).expect("it leaves");
    }
    let forget = DeleteOffsets { partitions: vec![first, second], ..forget };
    let result = stage.run(GroupCommand::DeleteOffsets(forget));
    assert_eq!(result, Ok(GroupReply::Deleted(vec![Ok(()), Err(DeleteOffsetError::NotFound)])));
    assert_eq!(stage.run(delete()), Ok(GroupReply::Done));
    let gone = GroupError::Admin(AdminError::NotFound { group: group() });
    assert_eq!((stage.run(delete()), stage.run(describe())), (Err(gone.clone()), Err(gone)));
    assert_eq!(stage.shard.counts().groups, 0);
}

#[test]
fn a_join_outside_the_limits_is_refused() {
    let mut stage = Stage::new();
    let short = Join { session_timeout_ms: 999, ..stage.joining("a") };
    let wrong = GroupError::Join(JoinError::SessionTimeout { ms: 999 });
    assert_eq!(stage.run(GroupCommand::Join(short)), Err(wrong));
    let long = Join { rebalance_timeout_ms: i32::MAX, ..stage.joining("a") };
    let wrong = GroupError::Join(JoinError::RebalanceTimeout { ms: i32::MAX });
    assert_eq!(stage.run(GroupCommand::Join(long)), Err(wrong));
    let nothing = Join { subscription: names(&[]), ..stage.joining("a") };
    let error = stage.run(GroupCommand::Join(nothing)).expect_err("no topic").to_string();
    assert_eq!(error, "the subscription names no topic and has no pattern");
    assert_eq!(stage.shard.counts().groups, 0);
}

#[test]
fn a_changed_subscription_asks_for_a_target_and_an_equal_one_does_not() {
    let mut stage = alone();
    stage.topics.put("u", 1);
    let subscribe = |stage: &Stage, topics: &[&str]| {
        GroupCommand::Heartbeat(Heartbeat {
            subscription: Some(names(topics)),
            ..stage.beat("a", stage.epoch_of("a"))
        })
    };
    let (same, more, none) =
        (subscribe(&stage, &["t"]), subscribe(&stage, &["t", "u"]), subscribe(&stage, &[]));
    stage.run(same).expect("a member");
    assert_eq!(stage.written, 0);
    stage.run(more).expect("a member");
    assert_eq!(stage.signals, [ask()]);
    let error = stage.run(none).expect_err("no topic");
    assert!(matches!(error, GroupError::Member(MemberError::Subscription(_))));
    stage.assign();
    assert_eq!(stage.look("a").assigned.len(), 5);
}

#[test]
fn records_of_others_change_nothing() {
    let mut stage = pair();
    let before = stage.shard.clone();
    for key in [&b"\0\x02\0\x01g"[..], b"\0\x10\0\x01g", b"\0\x03", b"", b"\0\x03\0\x01g"] {
        let value = Some(Bytes::from_static(b"\0\x63junk"));
        stage.shard.replay(0, &StoredRecord { key: Bytes::copy_from_slice(key), value });
    }
    assert_eq!(stage.shard, before);
}
