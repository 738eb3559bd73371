//! Small requests about another topic, at a steady rate: what the rest of the users feel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::MissedTickBehavior;
use weir::client::{Client, Record};

const TOPIC: &str = "elsewhere";
/// Between two requests, whatever the answers do.
const PACE: Duration = Duration::from_millis(2);

/// Writes single records until it is ended. WHY on a thread of its own: it is to feel what the broker does, not what the members do.
pub(crate) struct Probe {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Probe {
    pub(crate) fn start(address: &str) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (address, over) = (address.to_owned(), is_over.clone());
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(probe(&address, &over))
        });
        Self { is_over, thread }
    }

    /// Ends it; the time that 99 of 100 answers took no longer than.
    pub(crate) fn p99(self) -> Duration {
        self.is_over.store(true, Ordering::Relaxed);
        let mut times = self.thread.join().expect("every record is taken");
        times.sort_unstable();
        times[(times.len() * 99).div_ceil(100) - 1]
    }
}

async fn probe(address: &str, is_over: &AtomicBool) -> Vec<Duration> {
    let client = Client::connect(address).await.expect("the broker is there");
    if client.admin().describe_topic(TOPIC).await.is_err() {
        client.admin().create_topic(TOPIC).partitions(1).await.expect("a new topic");
    }
    let producer = client.producer().linger(Duration::ZERO).build().await.expect("a producer");
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut answers = Vec::new();
    while !is_over.load(Ordering::Relaxed) || answers.is_empty() {
        let due = pace.tick().await;
        let delivery = producer.send(Record::to(TOPIC).value(vec![1; 100])).await.expect("it is taken");
        answers.push(tokio::spawn(async move {
            delivery.await.expect("it is acknowledged");
            due.elapsed()
        }));
    }
    let mut times = Vec::new();
    for answer in answers {
        times.push(answer.await.expect("it is acknowledged"));
    }
    times
}
