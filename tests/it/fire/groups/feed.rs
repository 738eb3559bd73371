//! Records with keys, one every few ms, whatever happens to members and brokers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use weir::client::{Client, Record};

const KEYS: u64 = 96;
const BETWEEN: Duration = Duration::from_millis(4);

/// A producer at work.
pub(super) struct Feed {
    is_over: Arc<AtomicBool>,
    task: JoinHandle<usize>,
}

impl Feed {
    pub(super) async fn start(address: &str, topic: &'static str) -> Self {
        let client = Client::connect(address).await.unwrap();
        let producer = client.producer().build().await.unwrap();
        let is_over = Arc::<AtomicBool>::default();
        let over = is_over.clone();
        let task = tokio::spawn(async move {
            let mut under_way = Vec::new();
            for number in 0u64.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let record =
                    Record::to(topic).key(format!("key {}", number % KEYS)).value(number.to_string());
                under_way.push(producer.send(record).await.unwrap());
                tokio::time::sleep(BETWEEN).await;
            }
            let count = under_way.len();
            for delivery in under_way {
                delivery.await.unwrap();
            }
            count
        });
        Self { is_over, task }
    }

    /// Ends when all is stored, and gives how many records that are.
    pub(super) async fn stop(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}
