//! Consumer groups under fire: members that come, go and crash, brokers that are killed, disks that lose their power, and one checker
//! ([`book`]) for what members saw.

mod book;
mod churn;
mod commits;
mod feed;
mod growth;
mod kept;
mod members;
mod mixed;
mod refused;
mod stable;
mod stream;

use std::time::Duration;

use weir::client::Client;

/// Longest wait for anything: a hang is a failure.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until something holds, and looks every few ms.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = tokio::time::Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "it never comes: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// A client, and the topic of the scenario.
async fn client_with_topic(address: &str, topic: &str, partitions: i32) -> Client {
    let client = Client::connect(address).await.unwrap();
    client.admin().create_topic(topic).partitions(partitions).await.unwrap();
    client
}
