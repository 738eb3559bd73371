//! Work side by side, in order for each key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use weir::client::{ConsumerRecord, Group, Record};
use weir::{Error, ErrorKind};

use super::consumer::{Seen, committed, member, soon};
use super::{TOPIC, produce, topic};
use crate::whole::Whole;

/// Puts `count` records of each key into the topic, numbered.
async fn produce_keys(whole: &Whole, keys: usize, count: usize) {
    let producer = whole.client().await.producer().build().await.unwrap();
    let mut sent = Vec::new();
    for number in 0..count {
        for key in 0..keys {
            let record = Record::to(TOPIC).key(format!("k{key}")).value(number.to_string());
            sent.push(producer.send(record).await.unwrap());
        }
    }
    for delivery in sent {
        delivery.await.unwrap();
    }
}

fn number(record: &ConsumerRecord) -> usize {
    std::str::from_utf8(record.value.as_deref().unwrap()).unwrap().parse().unwrap()
}

#[tokio::test]
async fn by_key_work_is_parallel_and_each_key_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    let client = whole.client().await;
    topic(&whole, 4).await;
    produce_keys(&whole, 10, 30).await;
    let done = Arc::<Mutex<BTreeMap<Vec<u8>, Vec<usize>>>>::default();
    let running = Arc::<Mutex<(usize, usize)>>::default();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let consumer = member(&client).build().await.unwrap();
    let mut ended = stopped.clone();
    let run = consumer.run_by_key_until(
        8,
        |record| {
            let (done, running, stop) = (done.clone(), running.clone(), stop.clone());
            async move {
                {
                    let mut running = running.lock();
                    running.0 += 1;
                    running.1 = running.1.max(running.0);
                }
                for _ in 0..number(&record) % 5 {
                    tokio::task::yield_now().await;
                }
                running.lock().0 -= 1;
                let mut done = done.lock();
                done.entry(record.key.clone().unwrap().to_vec()).or_default().push(number(&record));
                if done.values().map(Vec::len).sum::<usize>() == 300 {
                    stop.send_replace(true);
                }
                Ok::<(), Error>(())
            }
        },
        async move {
            let _ = ended.wait_for(|ended| *ended).await;
        },
    );
    soon("all is done", run).await.unwrap();
    let done = done.lock().clone();
    assert!(
        done.len() == 10 && done.values().all(|numbers| *numbers == (0..30).collect::<Vec<_>>()),
        "{done:?}"
    );
    assert!(running.lock().1 > 1, "nothing ran side by side: the test shows nothing");
    assert_eq!(committed(&client).await.values().sum::<i64>(), 300, "everything is committed");
    whole.stop().await;
}

#[tokio::test]
async fn by_key_nothing_behind_an_unfinished_record_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    let client = whole.client().await;
    topic(&whole, 1).await;
    produce_keys(&whole, 2, 10).await;
    let done = Arc::<Mutex<Vec<i64>>>::default();
    let consumer = member(&client).build().await.unwrap();
    let run = consumer.run_by_key(4, |record| {
        let done = done.clone();
        async move {
            // The record at offset 6 fails once everything of the other key is done.
            if record.offset == 6 {
                while done.lock().len() < 3 + 10 {
                    tokio::task::yield_now().await;
                }
                return Err(Error::new(ErrorKind::Internal, "it does not work"));
            }
            done.lock().push(record.offset);
            Ok(())
        }
    });
    let error = soon("it fails", run).await.unwrap_err();
    assert_eq!(error.message, "it does not work");
    let mut finished = done.lock().clone();
    finished.sort_unstable();
    assert_eq!(finished, [0, 1, 2, 3, 4, 5, 7, 9, 11, 13, 15, 17, 19]);
    assert_eq!(committed(&client).await, BTreeMap::from([(0, 6)]), "finished work behind it is done again");
    whole.stop().await;
}

#[tokio::test]
async fn records_in_work_are_finished_before_their_partition_goes() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    let client = whole.client().await;
    topic(&whole, 2).await;
    produce(&whole, 2, 0, 1).await;
    let (open, gate) = tokio::sync::watch::channel(false);
    let (begun, mut beginning) = tokio::sync::watch::channel(0);
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let first = member(&client).build().await.unwrap();
    let work = move |_: ConsumerRecord| {
        let (mut gate, begun) = (gate.clone(), begun.clone());
        async move {
            begun.send_modify(|count| *count += 1);
            gate.wait_for(|is_open| *is_open).await.unwrap();
            Ok::<(), Error>(())
        }
    };
    let running = first.run_by_key_until(4, work, async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    });
    let beside = async {
        soon("both are in work", beginning.wait_for(|count| *count == 2)).await.unwrap();
        let mut second = member(&client).build().await.unwrap();
        soon("one is to be given up", async {
            let gives_up = |group: &Group| group.members.iter().any(|member| !member.revoked.is_empty());
            while !gives_up(&client.admin().describe_group("g").await.unwrap()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        assert!(second.assignment().is_empty() && committed(&client).await.is_empty());
        open.send_replace(true);
        let mut seen = Seen::default();
        seen.until(&mut second, "it has come", |seen| seen.owned.len() == 1).await;
        let moved = *seen.owned.first().unwrap();
        assert_eq!(committed(&client).await.get(&moved), Some(&1), "it was finished first");
        assert!(seen.read.is_empty());
        stop.send_replace(true);
        second
    };
    let (ran, second) = futures_util::future::join(running, beside).await;
    ran.unwrap();
    soon("it leaves", second.close()).await.unwrap();
    assert_eq!(committed(&client).await, BTreeMap::from([(0, 1), (1, 1)]));
    whole.stop().await;
}
