//! Records at a steady rate, each with the time at which it was due.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Builder;
use weir::client::{Client, Record};
use weir::env::{Clock, RealClock};

use super::run::{PARTITIONS, TOPIC};

const PER_SECOND: u32 = 4_000;

/// A producer on a thread of its own. A record is due at its time whatever the answers of those before do.
pub(crate) struct Load {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<i64>>,
}

impl Load {
    pub(crate) fn start(address: &str, clock: Arc<RealClock>) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (address, over) = (address.to_owned(), is_over.clone());
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(produce(&address, &clock, &over))
        });
        Self { is_over, thread }
    }

    /// Ends it; the records of each partition, all of them acknowledged.
    pub(crate) fn stop(self) -> Vec<i64> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the load does not fail")
    }
}

async fn produce(address: &str, clock: &RealClock, is_over: &AtomicBool) -> Vec<i64> {
    let client = Client::connect(address).await.expect("the broker is there");
    let producer = client.producer().linger(Duration::ZERO).build().await.expect("a producer");
    let mut counts = vec![0; PARTITIONS as usize];
    let mut deliveries = Vec::new();
    let (began, mut number) = (clock.monotonic(), 0u32);
    while !is_over.load(Ordering::Relaxed) {
        let due = began + Duration::from_secs(1) / PER_SECOND * number;
        if let Some(wait) = due.checked_sub(clock.monotonic()) {
            clock.sleep(wait).await;
            continue;
        }
        let partition = (number % PARTITIONS as u32) as i32;
        let value = (due.as_nanos() as u64).to_be_bytes().to_vec();
        let record = Record::to(TOPIC).partition(partition).value(value);
        deliveries.push(producer.send(record).await.expect("it is taken"));
        counts[partition as usize] += 1;
        number += 1;
    }
    for delivery in deliveries {
        delivery.await.expect("each is acknowledged");
    }
    counts
}
