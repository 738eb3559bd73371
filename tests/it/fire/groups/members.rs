//! Members of all kinds, who write down what they see: stock streams, the bundled client, and `weir consume -g` as a process.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use weir::base::Error;
use weir::client::{Client, GroupConsumer, GroupEvent};
use weir::proto::grpc as pb;
use weir::proto::grpc::consume_request::Frame;
use weir::proto::grpc::consume_response::Frame as Told;

use super::PAUSE;
use super::book::{Book, Deed};
use super::stream::{Stream, joining};
use crate::process::binary;

/// Records after which a stock member commits.
const COMMIT_EVERY: usize = 20;

/// How a member goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Going {
    /// It says that it leaves.
    Leave,
    /// It ends its requests.
    HalfClose,
    /// It is gone.
    Crash,
}

/// What a member is like.
#[derive(Clone)]
pub(super) struct Habits {
    pub(super) address: String,
    pub(super) group: &'static str,
    pub(super) topic: &'static str,
    pub(super) session_ms: i32,
    /// What it does with a frame of records takes this long.
    pub(super) pause: Duration,
    /// A static member's name.
    pub(super) instance: String,
}

/// A member at work.
pub(super) struct Member {
    going: watch::Sender<Option<Going>>,
    task: JoinHandle<()>,
}

impl Member {
    /// One of stubs.
    pub(super) fn stock(book: &Book, name: &str, habits: Habits) -> Self {
        let (going, told) = watch::channel(None);
        let stock = Stock { book: book.clone(), who: name.to_owned(), habits, told, at: BTreeMap::new() };
        Self { going, task: tokio::spawn(stock.live()) }
    }

    /// One of the bundled client.
    pub(super) fn bundled(book: &Book, name: &str, habits: Habits) -> Self {
        let (going, told) = watch::channel(None);
        Self { going, task: tokio::spawn(bundled(book.clone(), name.to_owned(), habits, told)) }
    }

    /// Ends it so, and waits until it is gone.
    pub(super) async fn end(self, going: Going) {
        self.going.send_replace(Some(going));
        self.task.await.unwrap();
    }
}

/// What a stock member knows of a partition.
struct At {
    held: pb::GroupPartition,
    next: i64,
    uncommitted: usize,
}

struct Stock {
    book: Book,
    who: String,
    habits: Habits,
    told: watch::Receiver<Option<Going>>,
    at: BTreeMap<i32, At>,
}

impl Stock {
    async fn live(mut self) {
        let mut id = String::new();
        loop {
            if self.told.borrow().is_some() {
                return self.leave_all();
            }
            let mut join = joining(self.habits.group, self.habits.topic, self.habits.session_ms);
            join.options.as_mut().expect("it has some").instance_id = self.habits.instance.clone();
            join.member_id = id.clone();
            join.owned = self.at.values().map(|at| at.held.clone()).collect();
            match Stream::join(&self.habits.address, join).await {
                Ok(stream) => {
                    id = stream.id.clone();
                    if self.attend(stream).await {
                        return;
                    }
                }
                Err(status) if status.code() == tonic::Code::Unavailable => sleep(PAUSE).await,
                Err(status) => panic!("{}: {status}", self.who),
            }
        }
    }

    /// Until the stream is over. True: the member has gone as it was told to.
    async fn attend(&mut self, mut stream: Stream) -> bool {
        let mut asked: BTreeMap<i64, (i32, Deed)> = BTreeMap::new();
        loop {
            let told = tokio::select! {
                told = stream.next() => told,
                _ = self.told.changed() => {
                    let going = self.told.borrow().expect("it is told once");
                    self.leave_all();
                    match going {
                        Going::Crash => stream.crash(),
                        going => stream.leave(going == Going::Leave).await,
                    }
                    return true;
                }
            };
            match told {
                Ok(told) => self.take(told, &stream, &mut asked).await,
                // It comes back as whom it was.
                Err(_) => return false,
            }
        }
    }

    async fn take(&mut self, told: Told, stream: &Stream, asked: &mut BTreeMap<i64, (i32, Deed)>) {
        match told {
            Told::Assigned(assigned) => assigned.partitions.into_iter().for_each(|one| self.own(one)),
            Told::Records(records) => {
                let partition = records.partition.expect("records are of a partition");
                assert!(partition.error.is_none(), "{}: {partition:?}", self.who);
                let number = partition.partition;
                for record in &partition.records {
                    self.book.note(&self.who, number, Deed::Read { offset: record.offset });
                }
                if let Some(at) = self.at.get_mut(&number) {
                    at.next = partition.next_offset;
                    at.uncommitted += partition.records.len();
                    if at.uncommitted >= COMMIT_EVERY {
                        self.commit(number, stream, asked);
                    }
                }
                sleep(self.habits.pause).await;
            }
            Told::Revoke(revoke) => {
                for gone in &revoke.partitions {
                    self.book.note(&self.who, gone.partition, Deed::Told);
                    self.commit(gone.partition, stream, asked);
                    self.leave(gone.partition);
                }
                stream.let_go(&revoke);
            }
            Told::Lost(lost) => {
                for gone in &lost.partitions {
                    self.book.note(&self.who, gone.partition, Deed::Told);
                    self.leave(gone.partition);
                }
            }
            Told::Committed(committed) => {
                let is_taken = committed.partitions.iter().all(|result| result.error.is_none());
                if let Some((partition, deed)) = asked.remove(&committed.sequence).filter(|_| is_taken) {
                    self.book.note(&self.who, partition, deed);
                }
            }
            Told::Joined(_) => panic!("{} joins twice", self.who),
        }
    }

    fn own(&mut self, assigned: pb::AssignedPartition) {
        let held = assigned.partition.expect("it names one");
        let (epoch, offset, committed) = (Some(held.ownership_epoch), assigned.offset, assigned.committed);
        self.book.note(&self.who, held.partition, Deed::Took { epoch, offset, committed });
        self.at.insert(held.partition, At { held, next: offset, uncommitted: 0 });
    }

    fn commit(&mut self, partition: i32, stream: &Stream, asked: &mut BTreeMap<i64, (i32, Deed)>) {
        let Some(at) = self.at.get_mut(&partition).filter(|at| at.uncommitted > 0) else { return };
        at.uncommitted = 0;
        let (epoch, offset) = (at.held.ownership_epoch, at.next);
        let sequence = asked.last_key_value().map_or(1, |(last, _)| last + 1);
        asked.insert(sequence, (partition, Deed::Committed { epoch, offset }));
        self.book.note(&self.who, partition, Deed::Asked { epoch, offset });
        let offset = pb::PartitionOffset {
            topic: at.held.topic.clone(),
            topic_id: Some(at.held.topic_id.clone()),
            partition,
            offset,
            ownership_epoch: Some(epoch),
            ..Default::default()
        };
        stream.say(Frame::Commit(pb::ConsumeCommit { sequence, offsets: vec![offset] }));
    }

    fn leave(&mut self, partition: i32) {
        self.at.remove(&partition);
        self.book.note(&self.who, partition, Deed::Left);
    }

    fn leave_all(&mut self) {
        let all: Vec<i32> = self.at.keys().copied().collect();
        all.into_iter().for_each(|partition| self.leave(partition));
    }
}

async fn join_bundled(habits: &Habits) -> Result<GroupConsumer, Error> {
    let client = Client::connect(&habits.address).await?;
    let group = client.consumer().group(habits.group).topics([habits.topic]);
    let group = group.session_timeout(Duration::from_millis(habits.session_ms as u64));
    group.commit_interval(Duration::from_millis(100)).instance_id(&habits.instance).build().await
}

async fn bundled(book: Book, who: String, habits: Habits, mut told: watch::Receiver<Option<Going>>) {
    let mut consumer = loop {
        if told.borrow().is_some() {
            return;
        }
        match join_bundled(&habits).await {
            Ok(consumer) => break consumer,
            Err(error) => assert!(error.kind.is_retriable(), "{who}: {error}"),
        }
        sleep(PAUSE).await;
    };
    let mut owned = Vec::new();
    loop {
        let event = tokio::select! {
            event = consumer.next_event() => event.expect("it goes on"),
            _ = told.changed() => break,
        };
        match event {
            GroupEvent::Record(record) => {
                book.note(&who, record.partition, Deed::Read { offset: record.offset });
                sleep(habits.pause).await;
            }
            GroupEvent::Assigned(came) => {
                for one in &came {
                    let (offset, committed) = (one.position, one.committed);
                    book.note(&who, one.partition, Deed::Took { epoch: None, offset, committed });
                    owned.push(one.partition);
                }
            }
            GroupEvent::Revoked(gone) | GroupEvent::Lost(gone) => {
                for one in &gone {
                    book.note(&who, one.partition, Deed::Told);
                    book.note(&who, one.partition, Deed::Left);
                    owned.retain(|partition| *partition != one.partition);
                }
            }
            GroupEvent::Error(error) => assert!(error.kind.is_retriable(), "{who}: {error}"),
            _ => {}
        }
    }
    owned.iter().for_each(|partition| book.note(&who, *partition, Deed::Left));
    let going = told.borrow().expect("it was told");
    if going != Going::Crash {
        consumer.close().await.unwrap();
    }
}

/// `weir consume -g` as a process. Killed when dropped.
pub(super) struct Cli {
    child: Child,
    heard: Option<std::thread::JoinHandle<()>>,
}

impl Cli {
    /// `name` begins with `cli`.
    pub(super) fn start(book: &Book, name: &str, habits: &Habits) -> Self {
        let mut command = Command::new(binary());
        command.args(["-b", &habits.address, "consume", habits.topic, "-g", habits.group, "-f", "%p %o\n"]);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (book, who, stdout) = (book.clone(), name.to_owned(), child.stdout.take().unwrap());
        let heard = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The last line may be cut by the kill.
                let place = line.split_once(' ').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
                if let Some((partition, offset)) = place {
                    book.note(&who, partition, Deed::Read { offset });
                }
            }
        });
        Self { child, heard: Some(heard) }
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        if let Some(heard) = self.heard.take() {
            heard.join().unwrap();
        }
    }
}

impl Drop for Cli {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
