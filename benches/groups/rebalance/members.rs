//! Members of the group, and what they see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use weir::client::{Client, ConsumerRecord, GroupEvent, OwnedPartition, Start};
use weir::env::{Clock, RealClock};

use super::run::{GROUP, TOPIC};

const COMMIT_EVERY: Duration = Duration::from_millis(500);

/// What one member saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// Between deliveries of a partition that stayed.
    pub(crate) gaps: Vec<Duration>,
    /// From the time at which a record was due to its delivery.
    pub(crate) delays: Vec<Duration>,
    /// Offsets by partition.
    pub(crate) offsets: Vec<(i32, i64)>,
    /// Partitions that it gave up or lost while it went on.
    pub(crate) given_up: usize,
}

/// A member at work.
pub(crate) struct Member {
    leave: oneshot::Sender<()>,
    task: JoinHandle<Seen>,
}

impl Member {
    /// Joins. What is delivered before `since` counts as read, not as measured.
    pub(crate) fn join(client: Client, clock: Arc<RealClock>, since: Duration) -> Self {
        let (leave, left) = oneshot::channel();
        Self { leave, task: tokio::spawn(read(client, clock, since, left)) }
    }

    /// Leaves in good order; what it saw.
    pub(crate) async fn leave(self) -> Seen {
        // It waits for this alone.
        let _ = self.leave.send(());
        self.task.await.expect("a member does not fail")
    }
}

async fn read(
    client: Client,
    clock: Arc<RealClock>,
    since: Duration,
    mut left: oneshot::Receiver<()>,
) -> Seen {
    let builder = client.consumer().group(GROUP).topic(TOPIC).start(Start::Beginning);
    let mut consumer = builder.commit_interval(COMMIT_EVERY).build().await.expect("it joins");
    let mut seen = Seen::default();
    let mut last: BTreeMap<i32, Duration> = BTreeMap::new();
    loop {
        let event = tokio::select! {
            biased;
            _ = &mut left => break,
            event = consumer.next_event() => event.expect("the group goes on"),
        };
        match event {
            GroupEvent::Record(record) => seen.note(&record, clock.monotonic(), since, &mut last),
            GroupEvent::Revoked(partitions) | GroupEvent::Lost(partitions) => {
                seen.given_up += partitions.len();
                forget(&partitions, &mut last);
            }
            GroupEvent::Error(error) => panic!("a member met {error}"),
            _ => {}
        }
    }
    consumer.leave().await.expect("it leaves");
    seen
}

fn forget(partitions: &[OwnedPartition], last: &mut BTreeMap<i32, Duration>) {
    for gone in partitions {
        last.remove(&gone.partition);
    }
}

impl Seen {
    fn note(
        &mut self,
        record: &ConsumerRecord,
        now: Duration,
        since: Duration,
        last: &mut BTreeMap<i32, Duration>,
    ) {
        self.offsets.push((record.partition, record.offset));
        let before = last.insert(record.partition, now);
        if now < since {
            return;
        }
        self.gaps.extend(before.map(|before| now - before));
        let due = record.value.as_deref().and_then(|value| value.try_into().ok()).map(u64::from_be_bytes);
        self.delays.push(now.saturating_sub(Duration::from_nanos(due.expect("each record has its time"))));
    }
}
