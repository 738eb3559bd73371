//! HTTP/1.1 on the port of gRPC: metrics, health, and what a bad peer gets.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use weir::client::{At, Client, Record, Start};

use super::process::{BrokerProcess, free_port};

const LONG: Duration = Duration::from_secs(60);

async fn start(folder: &std::path::Path, settings: &[&str]) -> BrokerProcess {
    let mut broker = BrokerProcess::start_with(&folder.join("data"), folder, free_port(), settings);
    broker.answers(None).await;
    broker
}

/// Sends bytes and gives everything that comes until the broker ends the connection.
async fn say(broker: &BrokerProcess, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(broker.address()).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    timeout(LONG, socket.read_to_end(&mut answer)).await.expect("the connection ends").unwrap();
    String::from_utf8(answer).unwrap()
}

/// Status, head and body of one request.
async fn ask(broker: &BrokerProcess, method: &str, path: &str) -> (u16, String, String) {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n");
    let answer = say(broker, request.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
    (status, head.to_owned(), body.to_owned())
}

/// The value of the sample that begins with `name`.
fn sample(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no sample {name} in\n{text}")).parse().unwrap()
}

async fn write_and_read(broker: &BrokerProcess, topic: &str, records: usize) {
    let client = Client::connect(&broker.address()).await.unwrap();
    client.admin().create_topic(topic).partitions(2).await.unwrap();
    let producer = client.producer().build().await.unwrap();
    for number in 0..records {
        drop(producer.send(Record::to(topic).value(format!("record {number}"))).await.unwrap());
    }
    assert_eq!(producer.close().await.delivered, records as u64);
    let mut consumer = client.consumer().topic(topic).start(Start::Beginning).build().await.unwrap();
    for _ in 0..records {
        timeout(LONG, consumer.next()).await.expect("a record comes").unwrap().unwrap();
    }
    assert!(client.admin().describe_topic("no-such-topic").await.is_err());
}

#[tokio::test]
async fn metrics_count_what_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), &[]).await;
    write_and_read(&broker, "orders", 100).await;
    let (status, head, text) = ask(&broker, "GET", "/metrics").await;
    assert_eq!(status, 200, "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    for (name, value) in [
        ("weir_produce_records_total", 100.0),
        ("weir_fetch_records_total", 100.0),
        ("weir_topic_produce_records_total{topic=\"orders\"}", 100.0),
        ("weir_topic_fetch_records_total{topic=\"orders\"}", 100.0),
        ("weir_requests_total{method=\"CreateTopic\"}", 1.0),
        ("weir_request_duration_seconds_count{method=\"CreateTopic\"}", 1.0),
        ("weir_request_errors_total{reason=\"TOPIC_NOT_FOUND\"}", 1.0),
        ("weir_topics", 1.0),
        ("weir_partitions", 2.0),
        ("weir_partitions_offline", 0.0),
        ("weir_log_segments", 2.0),
        ("weir_disk_full", 0.0),
        ("weir_connections{protocol=\"http\"}", 1.0),
    ] {
        assert_eq!(sample(&text, name), value, "{name}");
    }
    assert_eq!(
        sample(&text, "weir_topic_produce_bytes_total{topic=\"orders\"}"),
        sample(&text, "weir_log_size_bytes")
    );
    for name in [
        "weir_log_sync_duration_seconds_count",
        "weir_memory_limit_bytes",
        "weir_disk_free_bytes",
        "weir_process_resident_anon_bytes",
        "process_open_fds",
        "weir_uptime_seconds",
    ] {
        assert!(sample(&text, name) > 0.0, "{name}");
    }
}

#[tokio::test]
async fn sizes_are_known_of_logs_that_nobody_has_opened() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), &[]).await;
    write_and_read(&broker, "orders", 10).await;
    let size = sample(&ask(&broker, "GET", "/metrics").await.2, "weir_log_size_bytes");
    broker.terminate();
    let mut broker = broker;
    assert!(broker.ended(LONG).await.is_some_and(|end| end.success()));
    let broker = start(folder.path(), &[]).await;
    let text = ask(&broker, "GET", "/metrics").await.2;
    assert_eq!(sample(&text, "weir_log_size_bytes"), size);
    assert_eq!(sample(&text, "weir_topic_log_size_bytes{topic=\"orders\"}"), size);
}

#[tokio::test]
async fn health_tells_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), &[]).await;
    assert_eq!(ask(&broker, "GET", "/healthz").await.2, "ok\n");
    write_and_read(&broker, "orders", 10).await;
    broker.kill();
    std::fs::remove_file(folder.path().join("data/orders-1/partition.meta")).unwrap();
    let broker = start(folder.path(), &["disk.reserve.bytes=1000000GiB"]).await;
    let (status, _, body) = ask(&broker, "GET", "/healthz").await;
    assert_eq!(status, 503);
    let lines: Vec<&str> = body.lines().collect();
    assert_eq!(lines[0], "1 partition offline: orders[1]; `weir topic describe` tells why");
    assert!(lines[1].starts_with("disk full: ") && lines.len() == 2, "{body}");
    let text = ask(&broker, "GET", "/metrics").await.2;
    assert_eq!(sample(&text, "weir_partitions_offline"), 1.0);
    assert_eq!(sample(&text, "weir_disk_full"), 1.0);
}

#[tokio::test]
async fn health_tells_of_the_brokers_own_partitions_and_of_those_whose_opening_fails() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), &[]).await;
    write_and_read(&broker, "orders", 10).await;
    let client = Client::connect(&broker.address()).await.unwrap();
    client.consumer().group("billing").topic("orders").build().await.unwrap().leave().await.unwrap();
    broker.kill();
    let data = folder.path().join("data");
    std::fs::remove_dir_all(data.join("__consumer_offsets-12")).unwrap();
    // A folder where the index should be: a start tries to open it again and again.
    let index = data.join("orders-0").join(format!("{:020}.index", 0));
    std::fs::remove_file(&index).unwrap();
    std::fs::create_dir(&index).unwrap();
    let broker = start(folder.path(), &[]).await;
    let client = Client::connect(&broker.address()).await.unwrap();
    assert!(client.admin().list_offsets("orders", [(0, At::End)]).await.unwrap()[0].is_err());
    let (status, _, body) = ask(&broker, "GET", "/healthz").await;
    assert!(status == 503 && body.starts_with("2 partitions offline: "), "{body}");
    assert!(body.contains("__consumer_offsets[12]") && body.contains("orders[0]"), "{body}");
}

#[tokio::test]
async fn what_is_not_there_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), &[]).await;
    let (status, _, body) = ask(&broker, "GET", "/").await;
    assert!(status == 404 && body.contains("GET /metrics"), "{status} {body}");
    let (status, head, body) = ask(&broker, "DELETE", "/metrics").await;
    assert!(
        status == 405 && head.contains("allow: GET, HEAD") && body.contains("use GET"),
        "{status} {body}"
    );
    let (status, _, body) = ask(&broker, "POST", "/weir.v1.ProducerService/Produce").await;
    assert!(status == 505 && body.contains("HTTP/2"), "{status} {body}");
    let (status, head, body) = ask(&broker, "HEAD", "/healthz").await;
    assert!(status == 200 && head.contains("content-length: 3") && body.is_empty(), "{status} {head}");
    let answer = say(&broker, b"nonsense\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let many = "x: y\r\n".repeat(10_000);
    let answer = say(&broker, format!("GET /metrics HTTP/1.1\r\n{many}\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let long = "x".repeat(100_000);
    let answer = say(&broker, format!("GET /{long} HTTP/1.1\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 414 ") || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert_eq!(ask(&broker, "GET", "/healthz").await.2, "ok\n", "nobody else minds");
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request_and_ends_at_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = start(folder.path(), &[]).await;
    let mut socket = TcpStream::connect(broker.address()).await.unwrap();
    for _ in 0..3 {
        socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: weir\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok\n") {
            let count = timeout(LONG, socket.read_buf(&mut answer)).await.expect("an answer").unwrap();
            assert!(count > 0, "the connection ended");
        }
    }
    // One that has said nothing yet, and one in the middle of its head.
    let silent = TcpStream::connect(broker.address()).await.unwrap();
    let mut half = TcpStream::connect(broker.address()).await.unwrap();
    half.write_all(b"GET /heal").await.unwrap();
    broker.terminate();
    assert!(broker.ended(LONG).await.is_some_and(|end| end.success()), "{}", broker.said());
    assert!(broker.said().contains("stopped cleanly"), "{}", broker.said());
    assert_eq!(timeout(LONG, socket.read(&mut [0; 10])).await.expect("it ends").unwrap(), 0);
    drop((silent, half));
}
