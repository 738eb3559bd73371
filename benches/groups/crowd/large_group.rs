//! One large group with as many partitions as members: how long its rebalances take, and what writers of another topic feel.

use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::time::sleep;
use tonic::transport::Channel;
use weir::client::Client;

use super::member::{Member, connect};
use super::probe::Probe;
use super::process::cpu;
use crate::Scale;
use crate::broker::Broker;

const TOPIC: &str = "wide";
/// Joins and leaves of one member of which the median counts, at least.
const CHANGES_MIN: usize = 5;
const WAIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(1);

/// Prints one row for each number of members.
pub(crate) fn measure(scale: Scale) {
    let (counts, quiet) = match scale {
        Scale::Full => (&[10, 100, 300, 1_000][..], Duration::from_secs(5)),
        Scale::Small => (&[5][..], Duration::from_millis(100)),
    };
    println!(
        "\n| members and partitions | all at once: settled after, ms | CPU, ms | one leaves: settled after, ms | it comes back: settled \
         after, ms | p99 of another topic's writers: at rest, ms | while one comes and goes, ms | of a broker beside it, ms | while all \
         come at once, ms | of a broker beside it, ms |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for count in counts {
        let broker = Broker::start();
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(row(&broker, *count, quiet));
    }
}

async fn row(broker: &Broker, count: usize, quiet: Duration) {
    let client = Client::connect(broker.address()).await.expect("the broker is there");
    client.admin().create_topic(TOPIC).partitions(count as i32).await.expect("a new topic");
    let channels = connect(broker.address(), count).await;
    // WHY: the first group makes the offsets log, which is no cost of a rebalance.
    let other = Member::join(&channels[0], "other".to_owned(), TOPIC);
    settled(std::slice::from_ref(&other), count, Instant::now()).await;
    let probe = Probe::start(broker.address());
    sleep(quiet).await;
    let at_rest = probe.p99();
    let here = churn((broker, &channels), "crowd", count, (quiet, broker.address())).await;
    // What the machine has left for a broker that none of this is asked of.
    let elsewhere = Broker::start();
    let there = churn((broker, &channels), "crowd-again", count, (quiet, elsewhere.address())).await;
    let [first, cpu, leave, join] = here.took;
    let [at_once, changes] = here.p99;
    let [beside_at_once, beside_changes] = there.p99;
    let times = [first, cpu, leave, join, at_rest, changes, beside_changes, at_once, beside_at_once].map(ms);
    println!("| {count} | {} |", times.join(" | "));
}

/// What a group of `count` members took that came at once, and of which one left and came back again and again.
struct Churn {
    /// All at once, CPU of the broker for that, one leaves, it comes back.
    took: [Duration; 4],
    /// Of writers while all come, and while one leaves and comes back.
    p99: [Duration; 2],
}

async fn churn(
    (broker, channels): (&Broker, &[Channel]),
    group: &str,
    count: usize,
    (length, probed): (Duration, &str),
) -> Churn {
    let probe = Probe::start(probed);
    let (used, began) = (cpu(broker.pid()), Instant::now());
    let join = |number: usize| Member::join(&channels[number % channels.len()], group.to_owned(), TOPIC);
    let mut members: Vec<Member> = (0..count).map(join).collect();
    let first = settled(&members, count, began).await;
    let of_the_first = cpu(broker.pid()) - used;
    let at_once = probe.p99();
    let probe = Probe::start(probed);
    let (mut leaves, mut joins) = (Vec::new(), Vec::new());
    let all = Instant::now();
    while joins.len() < CHANGES_MIN || all.elapsed() < length {
        let began = Instant::now();
        drop(members.swap_remove(0));
        leaves.push(settled(&members, count, began).await);
        let began = Instant::now();
        members.push(join(joins.len()));
        joins.push(settled(&members, count, began).await);
    }
    Churn { took: [first, of_the_first, median(leaves), median(joins)], p99: [at_once, probe.p99()] }
}

/// Waits until every partition is held and none of the members holds more than one beyond its share.
async fn settled(members: &[Member], partitions: usize, began: Instant) -> Duration {
    let most = partitions.div_ceil(members.len());
    loop {
        let held = || members.iter().map(Member::held);
        if held().sum::<usize>() == partitions && held().all(|held| held >= 1 && held <= most) {
            return began.elapsed();
        }
        assert!(began.elapsed() < WAIT, "the group is not settled after {WAIT:?}");
        sleep(PAUSE).await;
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}
