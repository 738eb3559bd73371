//! A group of three kinds: a program of another language (`$GROUP_MEMBER ADDRESS GROUP TOPIC`, given by `tests/proofs/python_group.sh`), a
//! member of the bundled client, and `weir consume -g`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use weir::client::{Client, GroupState};

use super::book::{Book, Deed};
use super::feed::Feed;
use super::members::{Cli, Going, Habits, Member};
use super::{client_with_topic, until};
use crate::process::{BrokerProcess, free_port};
use crate::whole::read_all;

const TOPIC: &str = "orders";
const GROUP: &str = "mixed";
const PARTITIONS: i32 = 12;
const SESSION_MS: i32 = 60_000;

/// The program, whose lines go to the book. Its name begins with `cli`: it is a process of its own.
struct Foreign {
    child: Child,
    heard: std::thread::JoinHandle<(usize, bool)>,
}

impl Foreign {
    fn start(book: &Book, command: &str, address: &str) -> Self {
        let mut words = command.split(' ');
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).args([address, GROUP, TOPIC]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (book, stdout) = (book.clone(), child.stdout.take().unwrap());
        let heard = std::thread::spawn(move || {
            let (mut commits, mut is_gone) = (0, false);
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let words: Vec<&str> = line.split(' ').collect();
                match words[..] {
                    ["read", partition, offset] => {
                        let offset = offset.parse().unwrap();
                        book.note("cli python", partition.parse().unwrap(), Deed::Read { offset });
                    }
                    ["took", partition, epoch, offset, committed] => {
                        let epoch = Some(epoch.parse().unwrap());
                        let (offset, committed) = (offset.parse().unwrap(), Some(committed.parse().unwrap()));
                        let took = Deed::Took { epoch, offset, committed };
                        book.note("cli python", partition.parse().unwrap(), took);
                    }
                    ["committed", _] => commits += 1,
                    ["gone"] => is_gone = true,
                    _ => {}
                }
            }
            (commits, is_gone)
        });
        Self { child, heard }
    }

    /// Lets it leave; gives its commits, and whether it left in good order.
    fn end(mut self) -> (usize, bool) {
        drop(self.child.stdin.take());
        let heard = self.heard.join().unwrap();
        (heard.0, heard.1 && self.child.wait().unwrap().success())
    }
}

async fn shares(client: &Client, members: usize) -> Vec<usize> {
    let mut shares = Vec::new();
    until("the group is at rest", async || {
        let Ok(group) = client.admin().describe_group(GROUP).await else { return false };
        shares = group.members.iter().map(|member| member.assigned.len()).collect();
        group.listing.state == GroupState::Stable
            && shares.len() == members
            && shares.iter().sum::<usize>() == PARTITIONS as usize
    })
    .await;
    shares
}

#[tokio::test]
async fn three_kinds_of_members_share_the_partitions() {
    let Ok(command) = std::env::var("GROUP_MEMBER") else {
        return println!("a group of three kinds is run by tests/proofs/python_group.sh");
    };
    let folder = tempfile::tempdir().unwrap();
    let mut broker = BrokerProcess::start(folder.path(), free_port());
    broker.answers(None).await;
    let client = client_with_topic(&broker.address(), TOPIC, PARTITIONS).await;
    let book = Book::default();
    let (address, pause) = (broker.address(), Duration::ZERO);
    let habits = Habits {
        address,
        group: GROUP,
        topic: TOPIC,
        session_ms: SESSION_MS,
        pause,
        instance: String::new(),
    };
    let feed = Feed::start(&broker.address(), TOPIC).await;
    let bundled = Member::bundled(&book, "bundled", habits.clone());
    let mut consume = Cli::start(&book, "cli consume", &habits);
    let python = Foreign::start(&book, &command, &broker.address());
    let shared = shares(&client, 3).await;
    assert_eq!(shared, [PARTITIONS as usize / 3; 3], "each has a third");
    let from = book.len();
    let read_by = || -> BTreeMap<String, usize> {
        let mut read = BTreeMap::new();
        for line in book.since(from).into_iter().filter(|line| matches!(line.deed, Deed::Read { .. })) {
            *read.entry(line.who).or_default() += 1;
        }
        read
    };
    until("each reads", async || read_by().values().filter(|count| **count >= 50).count() == 3).await;
    let (told, place) = (read_by(), book.len());
    let (commits, is_well) = tokio::task::spawn_blocking(move || python.end()).await.unwrap();
    assert!(is_well && commits > 0, "the program left in good order, with commits");
    assert_eq!(shares(&client, 2).await, [PARTITIONS as usize / 2; 2], "what it had goes to the others");
    until("they read all", async || {
        let lines = book.since(place);
        let others =
            lines.iter().filter(|line| line.who != "cli python" && matches!(line.deed, Deed::Read { .. }));
        others.map(|line| line.partition).collect::<std::collections::BTreeSet<_>>().len()
            == PARTITIONS as usize
    })
    .await;
    let stored = feed.stop().await;
    until("every record is processed", async || book.read().len() >= stored).await;
    let log = read_all(&client, TOPIC).await;
    bundled.end(Going::Leave).await;
    consume.kill();
    book.assert_holds(&log);
    let lines = book.since(0);
    let twice =
        lines.iter().filter(|line| matches!(line.deed, Deed::Read { .. })).count() - book.read().len();
    println!(
        "a group of three kinds: {stored} records, each read ({twice} of them again), of each third at rest {told:?}; {commits} commits of Python"
    );
    broker.kill();
}
