//! A world: one broker on one disk, its clients, a clock, and what happened. Everything that happens follows from the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use weir::base::GroupId;
use weir::coordinator::group::assign::AssignmentInput;
use weir::coordinator::group::commands::TopicsChanged;
use weir::coordinator::group::{GroupCommand, GroupSignal, Topics};
use weir::env::sim_disk::SimOptions;
use weir::env::{Clock, Env, Rng, SimClock, SimDisk};

use crate::broker::{self, Board, Broker};
use crate::call::{Answer, Call, Of};
use crate::event::Event;
use crate::invariants::Invariants;
use crate::member::{Member, Zombie, members};
use crate::oracle::Oracle;
use crate::producer::{Producer, producers};
use crate::rules::SimRule;
use crate::session::Sessions;
use crate::stream::Stream;
use crate::topics::{COMPACTED, SimTopics};
use crate::trace::Trace;

/// When a world begins, in ms since 1970.
const START_MS: i64 = 1_700_000_000_000;

/// Something that must hold did not.
#[derive(Clone, Debug)]
pub(super) struct Breach {
    /// The invariant.
    pub(super) invariant: &'static str,
    /// What it says.
    pub(super) what: String,
}

pub(super) type Stepped = Result<(), Breach>;

pub(super) struct World {
    pub(super) rng: fastrand::Rng,
    pub(super) clock: Arc<SimClock>,
    pub(super) disk: SimDisk,
    pub(super) broker: Option<Broker>,
    /// Leader epoch of the next life.
    lives: i32,
    /// The process ends at this changing call of the disk.
    pub(super) dies_at: Option<u64>,
    pub(super) topics: SimTopics,
    pub(super) members: Vec<Member>,
    pub(super) producers: Vec<Producer>,
    /// Those who do not know that they are no members any more.
    pub(super) zombies: Vec<Zombie>,
    /// The broker's half of the members' streams, by number.
    pub(super) streams: BTreeMap<u32, Stream>,
    pub(super) next_stream: u32,
    pub(super) sessions: Sessions,
    pub(super) calls: Vec<Call>,
    /// Groups that asked for a target, and inputs that assignors work on.
    pub(super) asked: BTreeSet<GroupId>,
    pub(super) at_work: Vec<AssignmentInput>,
    /// The broker has to be told of topics.
    pub(super) untold_topics: bool,
    /// Until then no sync ends.
    pub(super) slow_until: Duration,
    pub(super) oracle: Oracle,
    pub(super) invariants: Invariants,
    pub(super) trace: Trace,
    pub(super) rule: Option<SimRule>,
    pub(super) next_value: u64,
    pub(super) next_commit: u64,
    pub(super) next_member: u32,
    /// How often each fault met the world.
    pub(super) faults: BTreeMap<&'static str, u64>,
}

impl World {
    pub(super) fn new(seed: u64, rule: Option<SimRule>, is_printed: bool) -> Self {
        let disk = SimDisk::new(SimOptions { block_bytes: 256, sector_bytes: 64, ..SimOptions::default() });
        disk.set_now_ms(START_MS);
        broker::format(&disk);
        if let Some(SimRule::Disk(ignored)) = rule {
            disk.ignore(ignored, |_: &Path| true);
        }
        let mut topics = SimTopics::default();
        topics.create("t0", 4);
        topics.create("t1", 2);
        topics.create(COMPACTED, 1);
        Self {
            rng: fastrand::Rng::with_seed(seed),
            clock: Arc::new(SimClock::new(START_MS)),
            disk,
            broker: None,
            lives: 0,
            dies_at: None,
            topics,
            members: members(),
            producers: producers(),
            zombies: Vec::new(),
            streams: BTreeMap::new(),
            next_stream: 0,
            sessions: Sessions::default(),
            calls: Vec::new(),
            asked: BTreeSet::new(),
            at_work: Vec::new(),
            untold_topics: false,
            slow_until: Duration::ZERO,
            oracle: Oracle::new(),
            invariants: Invariants::new(),
            trace: Trace::new(is_printed),
            rule,
            next_value: 0,
            next_commit: 0,
            next_member: 0,
            faults: BTreeMap::new(),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.rng.usize(..bound) }
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn is_out(&self, rule: SimRule) -> bool {
        self.rule == Some(rule)
    }

    /// Notes what happened and holds it against what must hold.
    pub(super) fn tell(&mut self, event: Event) -> Stepped {
        self.trace.add(self.clock.monotonic(), &event);
        self.invariants.see(&event).map_err(|(invariant, what)| Breach { invariant, what })
    }

    /// Notes what is no event.
    pub(super) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.note(self.clock.monotonic(), what);
    }

    /// Starts the broker, if it can be.
    pub(super) fn start_broker(&mut self) -> Stepped {
        self.lives += 1;
        let env = Env {
            disk: Arc::new(self.disk.clone()),
            clock: self.clock.clone(),
            rng: Arc::new(Rng::seeded(self.rng.u64(..))),
        };
        self.broker = Broker::start(env, &self.topics, self.lives, self.rule);
        let (life, is_up) = (self.lives, self.broker.is_some());
        self.note(format_args!("start {life}: {is_up}"));
        if self.broker.is_some() {
            self.sessions.restart(self.clock.monotonic());
            self.asked.clear();
            self.at_work.clear();
            self.tell_topics();
        }
        self.settle()
    }

    /// The process of the broker is gone: what was under way is answered by nobody, and every stream is lost.
    pub(super) fn end_broker(&mut self) {
        self.broker = None;
        self.dies_at = None;
        self.calls.clear();
        self.streams.clear();
        for producer in &mut self.producers {
            producer.lose_connection();
        }
        for member in &mut self.members {
            member.lose_connection();
        }
    }

    /// Puts a call under way, if there is a broker to take it.
    pub(super) fn call<F>(&mut self, of: Of, work: impl FnOnce(&Broker) -> F) -> bool
    where
        F: Future<Output = Answer> + 'static,
    {
        let Some(broker) = &self.broker else { return false };
        let future = Box::pin(work(broker));
        self.calls.push(Call { of, future });
        true
    }

    /// Asks the coordinator.
    pub(super) fn ask(&mut self, of: Of, command: GroupCommand) -> bool {
        self.call(of, |broker| {
            let host = broker.host.clone();
            async move { Answer::Group(host.run(command).await) }
        })
    }

    /// The topics as the coordinator is shown them.
    pub(super) fn shown_topics(&self) -> Arc<dyn Topics> {
        Arc::new(self.topics.clone())
    }

    /// Tells the coordinator of topics; again later when that fails.
    pub(super) fn tell_topics(&mut self) {
        let topics = self.shown_topics();
        let is_told = self.ask(Of::Topics, GroupCommand::TopicsChanged(TopicsChanged { topics }));
        self.untold_topics = !is_told;
    }

    /// Lets everything that is under way go on until nothing does any more without time or syncs; streams have their turn or not.
    pub(super) fn settle(&mut self) -> Stepped {
        self.settle_calls()?;
        let keys: Vec<u32> = self.streams.keys().copied().collect();
        for key in keys {
            if self.one_in(2) {
                self.serve(key)?;
            }
        }
        self.settle_calls()
    }

    fn settle_calls(&mut self) -> Stepped {
        loop {
            let mut has_moved = false;
            let mut index = 0;
            while index < self.calls.len() {
                let answer = self.calls[index].poll();
                self.notice_death();
                self.hear_of_log()?;
                if self.calls.is_empty() {
                    return Ok(());
                }
                match answer {
                    Some(answer) => {
                        has_moved = true;
                        let call = self.calls.remove(index);
                        self.answer(call.of, answer)?;
                    }
                    None => index += 1,
                }
            }
            has_moved |= self.take_signals()?;
            if !has_moved {
                return Ok(());
            }
        }
    }

    /// A process that died in the middle of a call says nothing any more.
    pub(super) fn notice_death(&mut self) {
        if self.dies_at.is_some_and(|at| self.disk.op_count() >= at) {
            self.note(format_args!("dies in the middle"));
            self.kill();
        }
    }

    /// The process is killed; the operating system goes on.
    pub(super) fn kill(&mut self) {
        self.disk = self.disk.kill();
        self.end_broker();
    }

    /// Reads on in the coordinator's log.
    pub(super) fn hear_of_log(&mut self) -> Stepped {
        let Some(broker) = &self.broker else { return Ok(()) };
        let events = self.oracle.catch_up(&broker.offsets);
        events.into_iter().try_for_each(|event| self.tell(event))
    }

    /// Whether there was a signal.
    fn take_signals(&mut self) -> Result<bool, Breach> {
        let board: Option<Arc<Board>> = self.broker.as_ref().map(|broker| broker.board.clone());
        let signals = board.map(|board| board.take()).unwrap_or_default();
        let were_some = !signals.is_empty();
        for signal in signals {
            match signal {
                GroupSignal::Assign { group } => drop(self.asked.insert(group)),
                GroupSignal::Wake { member, .. } => self.wake(&member),
                GroupSignal::Fenced { member, .. } => self.fence(&member)?,
            }
        }
        Ok(were_some)
    }

    /// Lets time pass, and timers go off that are due.
    pub(super) fn pass(&mut self, time: Duration) -> Stepped {
        self.clock.advance(time);
        self.disk.set_now_ms(self.clock.now_ms());
        self.broker.iter_mut().for_each(Broker::beat);
        let is_due =
            |broker: &Broker| broker.host.next_timer().is_some_and(|at| at <= broker.clock.monotonic());
        if self.broker.as_ref().is_some_and(is_due) {
            self.call(Of::Nobody, |broker| {
                let host = broker.host.clone();
                async move {
                    host.expire().await;
                    Answer::Done
                }
            });
        }
        self.settle()?;
        self.notice_lost()
    }

    /// One round of syncs, unless the disk is slow.
    pub(super) fn sync(&mut self) -> Stepped {
        if self.now() >= self.slow_until {
            if let Some(broker) = &self.broker {
                broker.store.committer().round(true);
            }
            self.notice_death();
        }
        self.settle()
    }

    fn answer(&mut self, of: Of, answer: Answer) -> Stepped {
        match (of, answer) {
            (Of::Producer(index, place), Answer::Appended(outcome)) => {
                self.take_outcome(index, place, outcome)
            }
            (Of::Join(index, connection, claims), Answer::Group(reply)) => {
                self.take_join((index, connection), &claims, reply)
            }
            (Of::Stream(key, ask), Answer::Group(reply)) => self.take_reply(key, ask, reply),
            (Of::Target(group), answer) => {
                self.take_target(group, answer);
                Ok(())
            }
            (Of::Topics, Answer::Group(reply)) => {
                self.untold_topics |= reply.is_err();
                Ok(())
            }
            (_, Answer::State(Some(live))) => {
                let history = self.oracle.state(&self.topics);
                self.tell(Event::Compared { live, history })
            }
            _ => Ok(()),
        }
    }
}
