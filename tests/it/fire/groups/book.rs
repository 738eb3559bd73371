//! What members of a group saw, in one order, and the one checker for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use weir::client::ConsumerRecord;

/// What a member saw or did about one partition.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    /// It owns the partition from here on, and reads from `offset`. The bundled client does not tell the epoch.
    Took { epoch: Option<i32>, offset: i64, committed: Option<i64> },
    /// It processed a record.
    Read { offset: i64 },
    /// It let go of the partition, lost it, or is no more.
    Left,
    /// It was told to give the partition up, or that it has lost it.
    Told,
    /// It sent a commit.
    Asked { epoch: i32, offset: i64 },
    /// That was acknowledged.
    Committed { epoch: i32, offset: i64 },
}

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    pub(super) who: String,
    pub(super) partition: i32,
    pub(super) deed: Deed,
}

/// All that members saw. Members in this process write it down before they go on; a process of its own is heard later, so
/// its lines (`who` begins with `cli`) have an order among themselves only.
#[derive(Clone, Default)]
pub(super) struct Book(Arc<Mutex<Vec<Noted>>>);

impl Book {
    pub(super) fn note(&self, who: &str, partition: i32, deed: Deed) {
        self.0.lock().push(Noted { who: who.to_owned(), partition, deed });
    }

    /// How many lines there are.
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// The lines from a place on.
    pub(super) fn since(&self, place: usize) -> Vec<Noted> {
        self.0.lock()[place..].to_vec()
    }

    /// Partitions that these lines are about, from a place on.
    pub(super) fn partitions(&self, place: usize, wanted: impl Fn(&Noted) -> bool) -> BTreeSet<i32> {
        self.0.lock()[place..].iter().filter(|line| wanted(line)).map(|line| line.partition).collect()
    }

    /// Places that were processed at least once.
    pub(super) fn read(&self) -> BTreeSet<(i32, i64)> {
        let lines = self.0.lock();
        let read = |line: &Noted| match line.deed {
            Deed::Read { offset } => Some((line.partition, offset)),
            _ => None,
        };
        lines.iter().filter_map(read).collect()
    }

    /// Panics with the first findings where something is not as promised.
    pub(super) fn assert_holds(&self, log: &[ConsumerRecord]) {
        let findings = self.check(log);
        let first = findings[..findings.len().min(10)].join("\n");
        assert!(findings.is_empty(), "{} findings, the first:\n{first}", findings.len());
    }

    /// Everything that is not as promised.
    fn check(&self, log: &[ConsumerRecord]) -> Vec<String> {
        let lines = self.0.lock().clone();
        let mut findings = Vec::new();
        check_all_read(log, &self.read(), &mut findings);
        check_owners(&lines, &mut findings);
        check_runs(&lines, &mut findings);
        check_commits(&lines, &mut findings);
        check_order(log, &lines, &mut findings);
        findings
    }
}

fn is_apart(who: &str) -> bool {
    who.starts_with("cli")
}

fn check_all_read(log: &[ConsumerRecord], read: &BTreeSet<(i32, i64)>, findings: &mut Vec<String>) {
    for record in log.iter().filter(|record| !read.contains(&(record.partition, record.offset))) {
        findings.push(format!("never processed: {}@{}", record.partition, record.offset));
    }
}

/// One owner per partition and epoch.
fn check_owners(lines: &[Noted], findings: &mut Vec<String>) {
    let mut owners: HashMap<(i32, i32), &str> = HashMap::new();
    for line in lines {
        if let Deed::Took { epoch: Some(epoch), .. } = line.deed {
            let owner = *owners.entry((line.partition, epoch)).or_insert(&line.who);
            if owner != line.who {
                let (partition, who) = (line.partition, &line.who);
                findings.push(format!("two owners: {owner} and {who} of {partition} in epoch {epoch}"));
            }
        }
    }
}

/// Each owner reads on from where the group stands, without a gap, and nothing before it owns the partition or after it let go.
fn check_runs(lines: &[Noted], findings: &mut Vec<String>) {
    let mut next: HashMap<(&str, i32), i64> = HashMap::new();
    for line in lines.iter().filter(|line| !is_apart(&line.who)) {
        let place = (line.who.as_str(), line.partition);
        match line.deed {
            Deed::Took { offset, committed, .. } => {
                if offset != committed.unwrap_or(0) {
                    findings.push(format!("not from the last commit: {line:?}"));
                }
                next.insert(place, offset);
            }
            Deed::Read { offset } => match next.get_mut(&place) {
                Some(expected) if *expected == offset => *expected += 1,
                Some(expected) => findings.push(format!("gap: {line:?} where {expected} was to come")),
                None => findings.push(format!("delivered to who does not own it: {line:?}")),
            },
            Deed::Left => drop(next.remove(&place)),
            Deed::Told | Deed::Asked { .. } | Deed::Committed { .. } => {}
        }
    }
}

/// No commit of an owner is accepted after the next one has the partition, and none is ever undone.
fn check_commits(lines: &[Noted], findings: &mut Vec<String>) {
    // The greatest acknowledged offset of each partition and epoch, whenever that was.
    let mut acknowledged: BTreeMap<(i32, i32), i64> = BTreeMap::new();
    for line in lines {
        if let Deed::Committed { epoch, offset } = line.deed {
            let greatest = acknowledged.entry((line.partition, epoch)).or_default();
            *greatest = offset.max(*greatest);
        }
    }
    let mut so_far: HashMap<i32, i64> = HashMap::new();
    let mut newest: HashMap<i32, i32> = HashMap::new();
    // Sent when another had the partition already.
    let mut late: BTreeSet<(i32, i32, i64)> = BTreeSet::new();
    for line in lines {
        match line.deed {
            Deed::Asked { epoch, offset } if newest.get(&line.partition) > Some(&epoch) => {
                late.insert((line.partition, epoch, offset));
            }
            Deed::Committed { epoch, offset } if late.contains(&(line.partition, epoch, offset)) => {
                findings.push(format!("accepted from an old owner: {line:?}"));
            }
            Deed::Committed { offset, .. } => {
                let greatest = so_far.entry(line.partition).or_default();
                *greatest = offset.max(*greatest);
            }
            Deed::Took { epoch, committed, .. } => {
                let present = newest.entry(line.partition).or_default();
                *present = epoch.unwrap_or(0).max(*present);
                let (partition, committed) = (line.partition, committed.unwrap_or(0));
                let before = so_far.get(&partition).copied().unwrap_or(0);
                let older = acknowledged.range((partition, 0)..(partition, epoch.unwrap_or(0)));
                let older = older.map(|(_, offset)| *offset).max().unwrap_or(0);
                if committed < before {
                    findings.push(format!("lost commit: {before} was acknowledged before {line:?}"));
                }
                if committed < older {
                    findings
                        .push(format!("commit of an old owner: {older} was acknowledged, and yet {line:?}"));
                }
            }
            _ => {}
        }
    }
}

/// The first processings of each key are in the order of the log.
fn check_order(log: &[ConsumerRecord], lines: &[Noted], findings: &mut Vec<String>) {
    let keys: HashMap<(i32, i64), &[u8]> = log
        .iter()
        .map(|record| ((record.partition, record.offset), record.key.as_deref().unwrap_or(&[])))
        .collect();
    let mut last: HashMap<(&str, &[u8]), i64> = HashMap::new();
    let mut seen: BTreeSet<(&str, i32, i64)> = BTreeSet::new();
    for line in lines {
        let Deed::Read { offset } = line.deed else { continue };
        let order = if is_apart(&line.who) { line.who.as_str() } else { "" };
        if !seen.insert((order, line.partition, offset)) {
            continue;
        }
        let Some(key) = keys.get(&(line.partition, offset)) else {
            findings.push(format!("not in the log: {line:?}"));
            continue;
        };
        let before = last.insert((order, key), offset).unwrap_or(-1);
        if before >= offset {
            findings.push(format!("out of order: {line:?} for the first time after {before}"));
        }
    }
}
