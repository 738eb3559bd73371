//! What a broker writes to its log: lines as JSON, with the id of the request that failed.

use weir::client::Client;

use super::process::{BrokerProcess, free_port};

/// What a broker with these settings writes while a request fails.
async fn said(settings: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut broker =
        BrokerProcess::start_with(&folder.path().join("data"), folder.path(), free_port(), settings);
    broker.answers(None).await;
    let client = Client::connect(&broker.address()).await.unwrap();
    assert!(client.admin().describe_topic("no-such-topic").await.is_err());
    broker.said()
}

#[tokio::test]
async fn a_line_of_json_tells_which_request_failed() {
    let said = said(&["log.format=json", "log.level=debug"]).await;
    let line = said.lines().find(|line| line.contains("no-such-topic")).expect(&said);
    let line: serde_json::Value = serde_json::from_str(line).expect(line);
    assert_eq!((&line["level"], &line["reason"]), (&"DEBUG".into(), &"TOPIC_NOT_FOUND".into()));
    assert_eq!(line["request_id"].as_str().map(str::len), Some(16), "{line}");
    assert!(line["timestamp"].is_string() && line["message"].is_string(), "{line}");
}

#[tokio::test]
async fn mistakes_of_clients_are_not_logged_unless_asked_for() {
    assert!(!said(&[]).await.contains("no-such-topic"));
}
