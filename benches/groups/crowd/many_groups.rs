//! Many groups of ten members: memory and CPU of a member and of a heartbeat.

use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::time::sleep;
use tonic::transport::Channel;
use weir::client::Client;
use weir::proto::grpc as pb;
use weir::proto::grpc::group_service_client::GroupServiceClient;

use super::member::{Member, connect, options};
use super::process::{cpu, rss_anon_kib};
use crate::Scale;
use crate::broker::Broker;

const TOPIC: &str = "activity";
/// Members of a group, and partitions for them.
const MEMBERS: usize = 10;
const WAIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(5);

/// Prints one row for each number of groups.
pub(crate) fn measure(scale: Scale) {
    let (counts, rest, heartbeats) = match scale {
        Scale::Full => (&[10, 100, 1_000][..], Duration::from_secs(10), 20_000),
        Scale::Small => (&[3][..], Duration::from_millis(100), 50),
    };
    println!(
        "\n| groups | members on streams | all have joined after, ms | CPU of a join, µs | memory of a member, KiB | CPU of the broker at \
         rest, % of a core | unary heartbeat: CPU, µs | median, µs |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    for count in counts {
        let broker = Broker::start();
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(row(&broker, *count, rest, heartbeats));
    }
}

async fn row(broker: &Broker, groups: usize, rest: Duration, heartbeats: u32) {
    let client = Client::connect(broker.address()).await.expect("the broker is there");
    client.admin().create_topic(TOPIC).partitions(MEMBERS as i32).await.expect("a new topic");
    // WHY: the first group makes the offsets log, which is no member's cost.
    let beating = Beating::join(broker.address()).await;
    let count = groups * MEMBERS;
    let channels = connect(broker.address(), count).await;
    let (memory, used, began) = (rss_anon_kib(broker.pid()), cpu(broker.pid()), Instant::now());
    let join = |number: usize| {
        Member::join(&channels[number % channels.len()], format!("group-{}", number % groups), TOPIC)
    };
    let members: Vec<Member> = (0..count).map(join).collect();
    while members.iter().any(|member| member.held() != 1) {
        assert!(began.elapsed() < WAIT, "not every member has a partition after {WAIT:?}");
        sleep(PAUSE).await;
    }
    let (took, cpu_of_joins) = (began.elapsed(), cpu(broker.pid()) - used);
    let of_a_member = rss_anon_kib(broker.pid()).saturating_sub(memory) as f64 / count as f64;
    let before = cpu(broker.pid());
    sleep(rest).await;
    let at_rest = (cpu(broker.pid()) - before).as_secs_f64() / rest.as_secs_f64();
    let before = cpu(broker.pid());
    let median = beating.beat(heartbeats).await;
    let of_a_heartbeat = (cpu(broker.pid()) - before).as_secs_f64() / f64::from(heartbeats);
    println!(
        "| {groups} | {count} | {} | {:.0} | {of_a_member:.1} | {:.1} | {:.0} | {} |",
        took.as_millis(),
        cpu_of_joins.as_secs_f64() * 1e6 / count as f64,
        at_rest * 100.0,
        of_a_heartbeat * 1e6,
        median.as_micros(),
    );
    drop(members);
}

/// A member of a group of its own that calls instead of holding a stream open.
struct Beating {
    calls: GroupServiceClient<Channel>,
    request: pb::HeartbeatRequest,
}

impl Beating {
    async fn join(address: &str) -> Self {
        let mut calls =
            GroupServiceClient::connect(format!("http://{address}")).await.expect("the broker is there");
        let group = "calling".to_owned();
        let join = pb::HeartbeatRequest { group, options: Some(options(TOPIC)), ..Default::default() };
        let joined = calls.heartbeat(join.clone()).await.expect("it may join").into_inner();
        let request = pb::HeartbeatRequest {
            member_id: joined.member_id,
            member_epoch: joined.member_epoch,
            owned: joined.assigned,
            options: None,
            ..join
        };
        Self { calls, request }
    }

    /// So many heartbeats, one after the other; their median.
    async fn beat(mut self, count: u32) -> Duration {
        let mut times = Vec::new();
        for _ in 0..count {
            let began = Instant::now();
            let told = self.calls.heartbeat(self.request.clone()).await.expect("it lives").into_inner();
            times.push(began.elapsed());
            self.request.member_epoch = told.member_epoch;
            self.request.owned = told.assigned;
        }
        times.sort_unstable();
        times[times.len() / 2]
    }
}
