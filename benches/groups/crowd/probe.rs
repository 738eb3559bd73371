//! Small requests about another topic, at a steady rate: what the rest of the users feel.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use weir::client::{Client, Record};

const TOPIC: &str = "elsewhere";
/// Between two requests, whatever the answers do.
const PACE: Duration = Duration::from_millis(2);

/// Writes single records until it is ended. WHY it waits for each answer in a task of its own: a slow answer holds up no other.
pub(crate) struct Probe {
    end: watch::Sender<bool>,
    task: JoinHandle<Vec<Duration>>,
}

impl Probe {
    pub(crate) async fn start(address: &str) -> Self {
        let client = Client::connect(address).await.expect("the broker is there");
        if client.admin().describe_topic(TOPIC).await.is_err() {
            client.admin().create_topic(TOPIC).partitions(1).await.expect("a new topic");
        }
        let (end, ended) = watch::channel(false);
        Self { end, task: tokio::spawn(probe(client, ended)) }
    }

    /// The time that 99 of 100 answers took no longer than.
    pub(crate) async fn p99(self) -> Duration {
        self.end.send_replace(true);
        let mut times = self.task.await.expect("every record is taken");
        times.sort_unstable();
        times[(times.len() * 99).div_ceil(100) - 1]
    }
}

async fn probe(client: Client, ended: watch::Receiver<bool>) -> Vec<Duration> {
    let producer = client.producer().linger(Duration::ZERO).build().await.expect("a producer");
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut answers = Vec::new();
    while !*ended.borrow() || answers.is_empty() {
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
