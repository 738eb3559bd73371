//! SIGTERM under load: the broker answers what it took, ends with 0, and the next start finds nothing to recover.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;
use weir::client::Client;

use super::fire::assert_none;
use super::fire::load::{Kind, Load, TOPIC};
use super::process::{BrokerProcess, free_port};

/// The broker's `shutdown.timeout.ms`, and room for a busy machine.
const DEADLINE: Duration = Duration::from_secs(10 + 5);
/// Time for the load to get going.
const UNDER_WAY: Duration = Duration::from_millis(700);

/// Where a client falls silent.
const PREFACES: [&[u8]; 4] = [
    b"",
    b"PRI * HTTP/2.0\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    // With an empty SETTINGS frame: the handshake is complete, but a ping gets no answer.
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
];

/// Clients that connect and never finish to begin.
async fn silent_clients(address: &str) -> Vec<TcpStream> {
    let mut silent = Vec::new();
    for preface in PREFACES {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(preface).await.unwrap();
        silent.push(socket);
    }
    silent
}

/// Leader epochs of the partitions.
async fn epochs(address: &str) -> Vec<i32> {
    let client = Client::connect(address).await.unwrap();
    let topic = client.admin().describe_topic(TOPIC).await.unwrap();
    topic.partitions.iter().map(|partition| partition.leader_epoch).collect()
}

#[tokio::test]
async fn a_stop_under_load_is_clean_though_clients_never_finish_their_handshake() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut broker = BrokerProcess::start(folder.path(), port);
    broker.answers(None).await;
    let address = broker.address();
    let mut load =
        Load::start(&address, &Kind { idempotent: 3, plain: 0, stock: 0, silent: 0, ..Kind::all("ack") })
            .await;
    sleep(UNDER_WAY).await;
    let before = epochs(&address).await;
    // WHY just before: what keeps a broker waiting is a client that has come this moment.
    let silent = silent_clients(&address).await;
    sleep(Duration::from_millis(50)).await;
    broker.terminate();
    let begun = broker.age();
    let end = broker.ended(DEADLINE).await;
    let took = broker.age() - begun;
    assert_eq!(end.and_then(|end| end.code()), Some(0), "after {took:?}; it said:\n{}", broker.said());
    println!(
        "stop under load with {} silent clients: exit code 0 after {} ms",
        silent.len(),
        took.as_millis()
    );
    drop(silent);

    let mut broker = BrokerProcess::start(folder.path(), port);
    broker.answers(Some(TOPIC)).await;
    assert_eq!(epochs(&address).await, before, "a clean stop needs no new epoch");
    load.stop().await;
    broker.kill();
    let mut broker = BrokerProcess::start(folder.path(), port);
    broker.answers(Some(TOPIC)).await;
    let raised: Vec<i32> = before.iter().map(|epoch| epoch + 1).collect();
    assert!(epochs(&address).await >= raised, "a killed broker leaves a trace: {before:?}");

    let checked = load.check(false).await;
    assert_none(checked.findings);
    println!("{} records acknowledged around the stop, all there once", checked.sent.acknowledged());
}
