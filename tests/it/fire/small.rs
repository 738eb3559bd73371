//! Small requests that somebody makes all the time, and how long each of them waits for its answer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use weir::client::Client;
use weir::proto::grpc as pb;
use weir::proto::grpc::consumer_service_client::ConsumerServiceClient;

use super::outcomes::Refusals;

/// What is asked, by its place in the counts.
const KINDS: [&str; 4] = ["metadata", "append at flush=os", "append at flush=ack", "fetch"];
pub(crate) const METADATA: usize = 0;
pub(crate) const APPEND_AT_OS: usize = 1;
pub(crate) const FETCH: usize = 3;
/// Topics that small records are sent to, by their setting `flush`.
const TOPICS: [(&str, &str); 2] = [("small-os", "os"), ("small-ack", "ack")];
/// What an answer may take on a machine that has much else to do: far below what held up requests take.
const BUSY: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// How long the answers took that have come, by kind.
type Waits = Arc<Mutex<[Vec<Duration>; KINDS.len()]>>;

/// How many answers of each kind had come at some time.
pub(crate) type Counts = [usize; KINDS.len()];

/// One asker of each kind. They end when this is dropped.
pub(crate) struct Small {
    waits: Waits,
    askers: Vec<JoinHandle<()>>,
    refusals: Vec<Arc<Refusals>>,
}

impl Small {
    /// Makes topics of its own and begins to ask.
    pub(crate) async fn start(address: &str) -> Self {
        let waits = Waits::default();
        // A connection for each: what is measured is the broker, not a stream that others fill.
        let client = Client::connect(address).await.unwrap();
        let (mut askers, mut refusals) = (Vec::new(), Vec::new());
        for (kind, (topic, flush)) in (APPEND_AT_OS..).zip(TOPICS) {
            let client = Client::connect(address).await.unwrap();
            client.admin().create_topic(topic).partitions(1).config("flush", flush).await.unwrap();
            let producer = Arc::new(client.producer().build().await.unwrap());
            let of_topic = Refusals::of(topic);
            refusals.push(of_topic.clone());
            assert!(of_topic.store(&producer, 0, 0).await);
            let send = move || {
                let (producer, of_topic) = (producer.clone(), of_topic.clone());
                async move { of_topic.store(&producer, 0, 0).await }
            };
            askers.push(tokio::spawn(ask(waits.clone(), kind, send)));
        }
        let metadata = move || {
            let client = client.clone();
            async move { client.admin().cluster().await.is_ok() }
        };
        askers.push(tokio::spawn(ask(waits.clone(), METADATA, metadata)));
        let calls = ConsumerServiceClient::connect(format!("http://{address}")).await.unwrap();
        let fetch = move || {
            let mut calls = calls.clone();
            async move { calls.fetch(first_of(TOPICS[0].0)).await.is_ok_and(|reply| has_record(reply.get_ref())) }
        };
        askers.push(tokio::spawn(ask(waits.clone(), FETCH, fetch)));
        Self { waits, askers, refusals }
    }

    /// Ends the asking, and demands that nothing of it is there that was refused.
    pub(crate) async fn end(self, address: &str) {
        self.askers.iter().for_each(JoinHandle::abort);
        for of_topic in &self.refusals {
            of_topic.check(address).await;
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let waits = self.waits.lock();
        std::array::from_fn(|kind| waits[kind].len())
    }

    /// Whether so many answers of each kind have come since.
    pub(crate) fn has_more(&self, since: &Counts, answers: usize) -> bool {
        self.counts().iter().zip(since).all(|(now, since)| now - since >= answers)
    }

    /// The longest that anybody waited for an answer that has come since.
    pub(crate) fn longest_since(&self, since: &Counts) -> Duration {
        (0..KINDS.len()).map(|kind| self.longest_of(kind, since)).max().unwrap_or_default()
    }

    /// The longest that somebody waited for an answer of one kind that has come since.
    pub(crate) fn longest_of(&self, kind: usize, since: &Counts) -> Duration {
        self.waits.lock()[kind][since[kind]..].iter().max().copied().unwrap_or_default()
    }

    /// Demands that no answer of these kinds that has come since took longer than two slow calls, and what a busy machine takes.
    pub(crate) fn assert_prompt(&self, kinds: &[usize], since: &Counts, slow_call: Duration) {
        let most = 2 * slow_call + BUSY;
        for kind in kinds {
            let longest = self.longest_of(*kind, since);
            assert!(longest < most, "{} waited {longest:?} beside calls of {slow_call:?}", KINDS[*kind]);
        }
    }

    /// Answers since, in words: how many of each kind, the median of their waits and the longest.
    pub(crate) fn waits_since(&self, since: &Counts) -> String {
        let waits = self.waits.lock();
        let of_kind = |kind: usize| {
            let mut waits = waits[kind][since[kind]..].to_vec();
            waits.sort_unstable();
            let ms = |at: usize| waits.get(at).map_or(0, Duration::as_millis);
            let (median, longest) = (ms(waits.len() / 2), ms(waits.len().saturating_sub(1)));
            format!("{} {} ({median} and {longest} ms)", waits.len(), KINDS[kind])
        };
        (0..KINDS.len()).map(of_kind).collect::<Vec<_>>().join(", ")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        self.askers.iter().for_each(JoinHandle::abort);
    }
}

/// Asks for ever, one request after the other. One that fails is made again, and waits since its first time.
async fn ask<F: Future<Output = bool>>(waits: Waits, kind: usize, request: impl Fn() -> F) {
    loop {
        let begun = Instant::now();
        while !request().await {
            sleep(PAUSE).await;
        }
        waits.lock()[kind].push(begun.elapsed());
        sleep(PAUSE).await;
    }
}

/// Asks for the first record of a topic.
fn first_of(topic: &str) -> pb::FetchRequest {
    let place = pb::FetchPartition { topic: topic.to_owned(), max_bytes: 1, ..pb::FetchPartition::default() };
    pb::FetchRequest { partitions: vec![place], ..pb::FetchRequest::default() }
}

fn has_record(reply: &pb::FetchResponse) -> bool {
    reply.partitions.iter().any(|partition| partition.error.is_none() && !partition.records.is_empty())
}
