//! Members: they join, are heard, let partitions go, and leave.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::errors::invalid_name;
use crate::base::{Error, ErrorKind, GroupId, InstanceId, MemberEpoch, MemberId, TopicPartition};
use crate::broker::Broker;
use crate::coordinator::group::assign::AssignorName;
use crate::coordinator::group::commands::{Disconnect, Heartbeat, Join, Leave, Owned};
use crate::coordinator::group::start::Start;
use crate::coordinator::group::subscription::Subscription;
use crate::coordinator::group::views::MemberView;
use crate::coordinator::group::{GroupCommand, GroupReply};

/// How long a member that says nothing else may be silent.
const SESSION_TIMEOUT_MS_DEFAULT: i32 = 10_000;

/// How long a member that says nothing else may take to let go.
const REBALANCE_TIMEOUT_MS_DEFAULT: i32 = 60_000;

/// Somebody wants to be a member, in the words of a door.
#[derive(Clone, Debug, Default)]
pub struct JoinRequest {
    /// The group.
    pub group: String,
    /// Who it was before; empty for a new member.
    pub member_id: String,
    /// Makes it a static member; empty for none.
    pub instance_id: String,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
    /// Topics by name.
    pub topics: Vec<String>,
    /// Topics by pattern; empty for none.
    pub pattern: String,
    /// Empty: no wish.
    pub assignor: String,
    /// In ms; 0 is the default.
    pub session_timeout_ms: i32,
    /// In ms; 0 is the default.
    pub rebalance_timeout_ms: i32,
    /// Where the group begins.
    pub start: Start,
    /// What it believes to own.
    pub owned: Vec<Owned>,
    /// Whether a stream stands behind it.
    pub connected: bool,
}

/// A member is heard.
#[derive(Clone, Debug)]
pub struct HeartbeatRequest {
    /// The group.
    pub group: GroupId,
    /// The member.
    pub member_id: MemberId,
    /// Its epoch, as last told.
    pub epoch: MemberEpoch,
    /// All that it owns, if that changed.
    pub owned: Option<BTreeSet<TopicPartition>>,
    /// What it wants to read from now on, if that changed.
    pub subscription: Option<Subscription>,
    /// Whether a stream stands behind it.
    pub connected: bool,
}

impl Broker {
    /// Makes somebody a member, or lets it go on as the member that it was.
    ///
    /// Errors: INVALID_GROUP, INVALID_REQUEST, GROUP_FULL; those of the offsets topic's log.
    pub async fn join_group(self: &Arc<Self>, request: JoinRequest) -> Result<MemberView, Error> {
        let join = self.checked_join(request)?;
        let group = join.group.clone();
        self.run_for(&group, GroupCommand::Join(join)).await.map(view)
    }

    fn checked_join(&self, request: JoinRequest) -> Result<Join, Error> {
        let group = parse_group(&request.group)?;
        let member_id = some(&request.member_id).map(parse_member);
        let instance_id = some(&request.instance_id)
            .map(|text| InstanceId::parse(text).map_err(|error| invalid_name("instance_id", text, error)));
        let assignor = some(&request.assignor).map(parse_assignor);
        let client_id = clean(&request.client_id);
        Ok(Join {
            member_id: member_id.transpose()?,
            fresh_id: self.fresh_member_id(&client_id),
            instance_id: instance_id.transpose()?,
            client_id: client_id.into(),
            client_host: request.client_host.as_str().into(),
            subscription: subscription(&request.topics, &request.pattern),
            assignor: assignor.transpose()?,
            session_timeout_ms: or_default(request.session_timeout_ms, SESSION_TIMEOUT_MS_DEFAULT),
            rebalance_timeout_ms: or_default(request.rebalance_timeout_ms, REBALANCE_TIMEOUT_MS_DEFAULT),
            start: request.start,
            owned: request.owned,
            connected: request.connected,
            topics: self.topics_view(),
            group,
        })
    }

    /// An id that no member had before: readable for people, random for the rest.
    fn fresh_member_id(&self, client_id: &str) -> MemberId {
        let mut random = [0; 8];
        self.env.rng.fill(&mut random);
        let name = if client_id.is_empty() { "member" } else { client_id };
        MemberId::stored(&format!("{name}-{:016x}", u64::from_le_bytes(random)))
    }

    /// A member is heard, and learns what it is to own.
    ///
    /// Errors: UNKNOWN_MEMBER, MEMBER_FENCED, INVALID_REQUEST; those of the offsets topic's log.
    pub async fn heartbeat(self: &Arc<Self>, request: HeartbeatRequest) -> Result<MemberView, Error> {
        let HeartbeatRequest { group, member_id, epoch, owned, subscription, connected } = request;
        let topics = self.topics_view();
        let heartbeat =
            Heartbeat { group: group.clone(), member_id, epoch, owned, subscription, connected, topics };
        self.run_for(&group, GroupCommand::Heartbeat(heartbeat)).await.map(view)
    }

    /// The stream of a member was lost: it has its session timeout to come back.
    ///
    /// Errors: UNKNOWN_MEMBER; those of the offsets topic's log.
    pub async fn disconnect_member(
        self: &Arc<Self>,
        group: &GroupId,
        member_id: MemberId,
    ) -> Result<(), Error> {
        let disconnect = Disconnect { group: group.clone(), member_id };
        self.run_for(group, GroupCommand::Disconnect(disconnect)).await.map(|_| ())
    }

    /// A member leaves. `keep`: a static one keeps its partitions for its session timeout.
    ///
    /// Errors: UNKNOWN_MEMBER; those of the offsets topic's log.
    pub async fn leave_group(
        self: &Arc<Self>,
        group: &GroupId,
        member_id: MemberId,
        keep: bool,
    ) -> Result<(), Error> {
        let leave = Leave { group: group.clone(), member_id, keep };
        self.run_for(group, GroupCommand::Leave(leave)).await.map(|_| ())
    }
}

/// The group of this name. Errors: INVALID_GROUP.
pub fn parse_group(name: &str) -> Result<GroupId, Error> {
    GroupId::parse(name).map_err(|error| invalid_name("group", name, error))
}

/// The member of this id. Errors: INVALID_GROUP.
pub fn parse_member(id: &str) -> Result<MemberId, Error> {
    MemberId::parse(id).map_err(|error| invalid_name("member_id", id, error))
}

/// What a member wants to read, as a door gives it.
pub fn subscription(topics: &[String], pattern: &str) -> Subscription {
    Subscription {
        names: topics.iter().map(|name| name.as_str().into()).collect(),
        pattern: some(pattern).map(Into::into),
    }
}

fn parse_assignor(text: &str) -> Result<AssignorName, Error> {
    AssignorName::parse(text).ok_or_else(|| {
        let names = AssignorName::ALL.map(AssignorName::as_str).join(", ");
        let message =
            format!("assignor '{}' does not exist; use one of {names}", crate::broker::lookup::shown(text));
        Error::new(ErrorKind::InvalidRequest, message).with("assignor", text)
    })
}

fn view(reply: GroupReply) -> MemberView {
    match reply {
        GroupReply::Member(view) => view,
        other => unreachable!("a member's command is answered by its view, not by {other:?}"),
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn or_default(ms: i32, default: i32) -> i32 {
    if ms == 0 { default } else { ms }
}

/// Longest part of a client's name that is kept.
const CLIENT_ID_BYTES_MAX: usize = 64;

/// The name that is kept. WHY not all of it: it is shown on terminals.
fn clean(client_id: &str) -> String {
    let cut = &client_id[..client_id.floor_char_boundary(CLIENT_ID_BYTES_MAX)];
    cut.chars().filter(|letter| !letter.is_control()).collect()
}
