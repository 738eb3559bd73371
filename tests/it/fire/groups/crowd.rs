//! Many groups and many members on one broker: what a member costs, and how long a large group takes to settle. Prints figures, and
//! asserts only that everybody gets what is theirs.
//!
//! `WEIR_MEMBERS=10000` is the long form: that many members in groups of ten, then single groups of up to 1,000.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use weir::client::Client;
use weir::proto::grpc as pb;
use weir::proto::grpc::consume_response::Frame as Told;
use weir::proto::grpc::consumer_service_client::ConsumerServiceClient;
use weir::proto::grpc::group_service_client::GroupServiceClient;

use super::super::number;
use super::PATIENCE;
use super::stream::{Stream, joining};
use crate::process::{BrokerProcess, free_port};

/// Members of a small group, and partitions of its topic.
const SMALL: usize = 10;
const MEMBERS_DEFAULT: usize = 200;
/// Streams of one connection.
const STREAMS: usize = 50;
/// Joins under way at a time.
const JOINING: usize = 64;
const SESSION_MS: i32 = 600_000;
/// How long a crowd is watched that does nothing.
const REST: Duration = Duration::from_secs(3);
/// Between two records to a topic that no group reads.
const BETWEEN: Duration = Duration::from_millis(5);
const OTHER: &str = "other";

/// What a member tells: who it is, how many partitions it has, and how many it was to give up since the last time.
struct Change {
    member: usize,
    held: usize,
    revoked: usize,
}

/// Members of one group or of many, each a stream.
struct Crowd {
    connections: Vec<ConsumerServiceClient<Channel>>,
    changes: UnboundedReceiver<Change>,
    tell: UnboundedSender<Change>,
    /// Who is there, with the way to make it leave.
    members: BTreeMap<usize, oneshot::Sender<()>>,
    held: BTreeMap<usize, usize>,
    revoked: usize,
    tasks: JoinSet<()>,
}

impl Crowd {
    /// Nobody yet, and connections for so many.
    async fn of(address: &str, members: usize) -> Self {
        let mut connections = Vec::new();
        for _ in 0..members.div_ceil(STREAMS) {
            connections.push(ConsumerServiceClient::connect(format!("http://{address}")).await.unwrap());
        }
        let (tell, changes) = unbounded_channel();
        let (members, held) = Default::default();
        Self { connections, changes, tell, members, held, revoked: 0, tasks: JoinSet::new() }
    }

    /// So many more join, each the group that `group` names for its number, to read this topic.
    async fn join(&mut self, count: usize, topic: &str, group: impl Fn(usize) -> String) {
        let (mut opening, first) = (JoinSet::new(), self.members.len());
        for number in first..first + count {
            let connection = self.connections[number % self.connections.len()].clone();
            let join = joining(&group(number), topic, SESSION_MS);
            opening.spawn(async move { (number, Stream::join_over(connection, join).await.unwrap()) });
            if opening.len() == JOINING {
                let (number, stream) = opening.join_next().await.expect("some are opening").unwrap();
                self.add(number, stream);
            }
        }
        while let Some(opened) = opening.join_next().await {
            let (number, stream) = opened.unwrap();
            self.add(number, stream);
        }
    }

    fn add(&mut self, number: usize, stream: Stream) {
        let (leave, left) = oneshot::channel();
        self.members.insert(number, leave);
        self.held.insert(number, 0);
        self.tasks.spawn(live(number, stream, self.tell.clone(), left));
    }

    /// The last one leaves.
    fn leave(&mut self) {
        let (number, leave) = self.members.pop_last().expect("there is one");
        self.held.remove(&number);
        leave.send(()).expect("it lives");
    }

    /// Waits until all partitions are held, and nobody has more than one more than any other. Gives the time that took, and how many
    /// partitions members had to give up meanwhile.
    async fn settled(&mut self, partitions: usize) -> (Duration, usize) {
        let begun = Instant::now();
        let is_even = |held: &BTreeMap<usize, usize>| {
            let most = held.values().max().expect("somebody is there");
            let least = held.values().min().expect("somebody is there");
            held.values().sum::<usize>() == partitions && most - least <= 1
        };
        while !is_even(&self.held) {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let change = tokio::time::timeout(left, self.changes.recv()).await;
            let Change { member, held, revoked } =
                change.expect("the group settles").expect("we tell it too");
            self.revoked += revoked;
            if let Some(place) = self.held.get_mut(&member) {
                *place = held;
            }
        }
        (begun.elapsed(), std::mem::take(&mut self.revoked))
    }
}

/// A member that takes what it is given, and gives up what it is to.
async fn live(
    member: usize,
    mut stream: Stream,
    tell: UnboundedSender<Change>,
    mut left: oneshot::Receiver<()>,
) {
    loop {
        tokio::select! {
            told = stream.next() => {
                let mut revoked = 0;
                match told.unwrap() {
                    Told::Revoke(revoke) => {
                        revoked = revoke.partitions.len();
                        stream.let_go(&revoke);
                    }
                    Told::Assigned(_) | Told::Lost(_) => {}
                    _ => continue,
                }
                // Whoever counts may be gone at the end.
                let _ = tell.send(Change { member, held: stream.held.len(), revoked });
            }
            // The end of all drops the other side.
            said = &mut left => return if said.is_ok() { stream.leave(true).await },
        }
    }
}

/// Processor time that a process has used.
fn cpu_time(broker: &BrokerProcess) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", broker.pid())).unwrap();
    let after_name = stat.rsplit(')').next().expect("a line");
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Members of the unary twin send so many heartbeats. Gives the processor time of one, and the median of their round trips.
async fn heartbeats(broker: &BrokerProcess, topic: &str, count: usize) -> (Duration, Duration) {
    let mut calls = GroupServiceClient::connect(format!("http://{}", broker.address())).await.unwrap();
    let options = joining("", topic, SESSION_MS).options;
    let join = pb::HeartbeatRequest { group: "unary".to_owned(), options, ..Default::default() };
    let mut member = calls.heartbeat(join).await.unwrap().into_inner();
    let (before, mut waits) = (cpu_time(broker), Vec::new());
    for _ in 0..count {
        let begun = Instant::now();
        let heartbeat = pb::HeartbeatRequest {
            group: "unary".to_owned(),
            member_id: member.member_id.clone(),
            member_epoch: member.member_epoch,
            owned: member.assigned.clone(),
            ..Default::default()
        };
        member = calls.heartbeat(heartbeat).await.unwrap().into_inner();
        waits.push(begun.elapsed());
    }
    ((cpu_time(broker) - before) / count as u32, share(&mut waits, 0.5))
}

/// The wait that so many of 1 do not exceed.
fn share(waits: &mut [Duration], share: f64) -> Duration {
    waits.sort_unstable();
    waits[((waits.len() - 1) as f64 * share) as usize]
}

/// Records to a topic that no group reads: when each was sent, and how long its acknowledgement took.
async fn others(client: Client, told: UnboundedSender<(Instant, Duration)>) {
    let calls = client.producer().build().await.unwrap();
    loop {
        let begun = Instant::now();
        let delivery = calls.send(weir::Record::to(OTHER).value("x")).await.unwrap();
        delivery.await.unwrap();
        if told.send((begun, begun.elapsed())).is_err() {
            return;
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

/// The 99th percentile of the waits that were told since the last time.
fn p99(waits: &mut UnboundedReceiver<(Instant, Duration)>) -> Duration {
    let mut told: Vec<Duration> =
        std::iter::from_fn(|| waits.try_recv().ok()).map(|(_, wait)| wait).collect();
    if told.is_empty() { Duration::ZERO } else { share(&mut told, 0.99) }
}

/// Many groups of ten.
async fn crowd_of_small_groups(broker: &BrokerProcess, client: &Client, members: usize) {
    client.admin().create_topic("small").partitions(SMALL as i32).await.unwrap();
    let before_kib = broker.rss_anon_kib();
    let mut crowd = Crowd::of(&broker.address(), members).await;
    let begun = Instant::now();
    crowd.join(members, "small", |number| format!("small-{}", number / SMALL)).await;
    let joined = begun.elapsed();
    crowd.settled(members).await;
    let settled = begun.elapsed();
    let kib = (broker.rss_anon_kib() - before_kib) as f64 / members as f64;
    let before = cpu_time(broker);
    tokio::time::sleep(REST).await;
    let at_rest = (cpu_time(broker) - before).as_secs_f64() / REST.as_secs_f64();
    let (cost, wait) = heartbeats(broker, "small", members).await;
    println!(
        "crowd: {members} members in {} groups joined in {:.1} s, settled after {:.1} s; {kib:.1} KiB of memory for each; at rest they \
         take {:.1} % of a processor; a heartbeat of the unary twin {} us of it, {} us there and back (median of {members})",
        members / SMALL,
        joined.as_secs_f64(),
        settled.as_secs_f64(),
        at_rest * 100.0,
        cost.as_micros(),
        wait.as_micros()
    );
}

/// One group with as many partitions as members: all but one join, the last one joins, and leaves.
async fn one_large_group(broker: &BrokerProcess, client: &Client, members: usize) {
    let topic = format!("large-{members}");
    client.admin().create_topic(&topic).partitions(members as i32).await.unwrap();
    let (told, mut waits) = unbounded_channel();
    let probe = tokio::spawn(others(client.clone(), told));
    tokio::time::sleep(REST).await;
    let quiet = p99(&mut waits);
    let mut crowd = Crowd::of(&broker.address(), members).await;
    let begun = Instant::now();
    crowd.join(members - 1, &topic, |_| topic.clone()).await;
    crowd.settled(members).await;
    let formed = begun.elapsed();
    let begun = Instant::now();
    crowd.join(1, &topic, |_| topic.clone()).await;
    let (_, moved) = crowd.settled(members).await;
    let joined = begun.elapsed();
    crowd.leave();
    let (left, moved_back) = crowd.settled(members).await;
    let busy = p99(&mut waits);
    probe.abort();
    assert_eq!(
        (moved, moved_back),
        (1, 0),
        "partitions that members had to give up for one that came and one that went"
    );
    println!(
        "crowd: a group of {} members over {members} partitions formed in {} ms; one more had its partition after {} ms, with {moved} moved; \
         it left, and another had it after {} ms; p99 of records to another topic {:.1} ms before, {:.1} ms meanwhile",
        members - 1,
        formed.as_millis(),
        joined.as_millis(),
        left.as_millis(),
        quiet.as_secs_f64() * 1e3,
        busy.as_secs_f64() * 1e3
    );
}

#[tokio::test]
async fn a_crowd_of_members_gets_what_is_theirs() {
    let members = number("WEIR_MEMBERS", MEMBERS_DEFAULT);
    let folder = tempfile::tempdir().unwrap();
    let mut broker = BrokerProcess::start(folder.path(), free_port());
    broker.answers(None).await;
    let client = Client::connect(&broker.address()).await.unwrap();
    client.admin().create_topic(OTHER).await.unwrap();
    crowd_of_small_groups(&broker, &client, members).await;
    for large in [10, 100, 1_000].into_iter().filter(|large| *large <= members / 2) {
        one_large_group(&broker, &client, large).await;
    }
    broker.kill();
}
