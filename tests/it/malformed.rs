//! Malformed input, one table for each door: every line gives the expected error, in words that help; the broker lives, stores
//! nothing of it, and takes no memory for it.

use tempfile::TempDir;
use tonic::transport::Channel;
use weir::client::Client;
use weir::proto::grpc as pb;
use weir::proto::grpc::ErrorReason;

use crate::process::{BrokerProcess, free_port};

mod batches;
mod command_line;
mod files;
mod requests;
mod settings;
mod topics;

/// A message longer than this is no sentence any more.
const MESSAGE_MAX: usize = 500;
/// What the broker's own memory may grow by, whatever comes, in KiB. WHY so much: a batch may unpack to 16 MiB, in buffers that double,
/// and the allocator keeps a few of those for the next.
const GROWTH_MAX_KIB: u64 = 80 << 10;
/// The topic that bad records are sent to.
const TOPIC: &str = "good";

/// What came back for one line of a table.
struct Answer {
    reason: ErrorReason,
    message: String,
}

/// One line of a table: its name, what came back, and what should have.
struct Line {
    name: String,
    answer: Result<Answer, String>,
    reason: ErrorReason,
    /// What the message must say.
    says: &'static [&'static str],
}

impl Line {
    fn complaint(&self) -> Option<String> {
        let Self { name, answer, reason, says } = self;
        let answer = match answer {
            Ok(answer) => answer,
            Err(other) => return Some(format!("{name}: {other}")),
        };
        let Answer { reason: found, message } = answer;
        if found != reason {
            return Some(format!("{name}: {found:?} instead of {reason:?}: {message}"));
        }
        if let Some(missing) = says.iter().find(|word| !message.contains(**word)) {
            return Some(format!("{name}: the message does not say '{missing}': {message}"));
        }
        let is_dirty = message.chars().any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
        (is_dirty || message.len() > MESSAGE_MAX)
            .then(|| format!("{name}: not fit to be printed: {message:?}"))
    }
}

fn assert_all(door: &str, lines: &[Line]) {
    let complaints: Vec<String> = lines.iter().filter_map(Line::complaint).collect();
    assert!(
        complaints.is_empty(),
        "{door}: {} of {}:\n{}",
        complaints.len(),
        lines.len(),
        complaints.join("\n")
    );
    println!("malformed input, {door}: {} inputs, each with the expected error", lines.len());
}

/// A broker with one topic of one record.
struct Target {
    broker: BrokerProcess,
    folder: TempDir,
    channel: Channel,
    before_kib: u64,
}

impl Target {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut broker = BrokerProcess::start(folder.path(), free_port());
        broker.answers(None).await;
        let client = Client::connect(&broker.address()).await.unwrap();
        client.admin().create_topic(TOPIC).partitions(2).await.unwrap();
        let producer = client.producer().build().await.unwrap();
        let record = weir::Record::to(TOPIC).partition(0).value("the only one");
        producer.send(record).await.unwrap().await.unwrap();
        producer.close().await;
        let url = format!("http://{}", broker.address());
        let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
        let before_kib = broker.rss_anon_kib();
        Self { broker, folder, channel, before_kib }
    }

    /// It lives, holds the one record and nothing else, and is not larger than before.
    async fn assert_unharmed(self) {
        let client = Client::connect(&self.broker.address()).await.unwrap();
        let topic = client.admin().describe_topic(TOPIC).await.unwrap();
        let ends: Vec<i64> = topic.partitions.iter().map(|partition| partition.log_end_offset).collect();
        assert_eq!(ends, [1, 0], "nothing of it was stored");
        let grown = self.broker.rss_anon_kib().saturating_sub(self.before_kib);
        assert!(grown <= GROWTH_MAX_KIB, "the broker took {grown} KiB more");
        assert!(!self.broker.said().contains("panicked"), "{}", self.broker.said());
        self.broker.kill();
        drop(self.folder);
    }
}

/// The reason and words of a call that failed.
fn of_status(status: &tonic::Status) -> Result<Answer, String> {
    use tonic_types::StatusExt;
    let info = status.get_error_details().error_info().cloned();
    let reason = info.and_then(|info| ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason)));
    match reason {
        Some(reason) => Ok(Answer { reason, message: status.message().to_owned() }),
        None => Err(format!("no ErrorInfo: {status}")),
    }
}

/// The reason and words of an item.
fn of_item(error: Option<&pb::ItemError>) -> Result<Answer, String> {
    let error = error.ok_or("it was taken")?;
    Ok(Answer { reason: error.reason(), message: error.message.clone() })
}
