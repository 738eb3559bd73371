//! The task of a group consumer: one stream at a time, opened again when it is lost; frames in, frames out.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;

use super::super::handle::Parts;
use super::super::retry::{Attempt, Backoff};
use super::commits::Commits;
use super::event::GroupEvent;
use super::membership::{Call, arrivals};
use super::options::{CommitMode, Options};
use super::ownership::id_of;
use super::revocation::{Callback, Revocations};
use super::state::{Clearance, Life, Shared, State};
use crate::base::{Error, ErrorKind, TopicPartition};
use crate::proto::grpc;
use crate::proto::grpc::consume_request::Frame;
use crate::proto::grpc::consume_response::Frame as Told;

/// How long closing waits for the last commits and the broker's goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the task waits for.
enum Happening {
    /// There is something to look at, or a time has come.
    Woken,
    Opened(Result<Call, Error>),
    Told(Option<Result<grpc::ConsumeResponse, Error>>),
    CalledBack(u64),
}

struct Task {
    shared: Arc<Shared>,
    parts: Parts,
    options: Options,
    member: grpc::MemberOptions,
    /// Empty before the first join, and after the group gave the member up.
    member_id: String,
    backoff: Backoff,
    opening: Attempt<Call>,
    call: Option<Call>,
    commits: Commits,
    commit_at: Option<Duration>,
    revocations: Revocations,
    callbacks: FuturesUnordered<Callback>,
    /// Told of the first join.
    first: Option<oneshot::Sender<Result<(), Error>>>,
    closing_since: Option<Duration>,
}

/// Starts a member; `first` is told when it has joined, or why it can't.
pub(super) async fn run(
    shared: Arc<Shared>,
    parts: Parts,
    options: Options,
    member: grpc::MemberOptions,
    first: oneshot::Sender<Result<(), Error>>,
) -> Result<(), Error> {
    let backoff = Backoff::new(parts.rng.clone());
    let task = Task {
        opening: Attempt::new(backoff.clone()),
        backoff,
        shared,
        parts,
        options,
        member,
        member_id: String::new(),
        call: None,
        commits: Commits::default(),
        commit_at: None,
        revocations: Revocations::default(),
        callbacks: FuturesUnordered::new(),
        first: Some(first),
        closing_since: None,
    };
    task.run().await
}

impl Task {
    async fn run(mut self) -> Result<(), Error> {
        loop {
            let now = self.now();
            self.prepare(now);
            self.step_revocations();
            self.say_all(now);
            if let Some(result) = self.finished(now) {
                return self.leave(result).await;
            }
            let happening = self.wait().await;
            if let Some(error) = self.take(happening) {
                self.commits.fail(&error);
                if let Some(first) = self.first.take() {
                    // Who started it is gone otherwise.
                    let _ = first.send(Err(error));
                    self.shared.lock().end(None);
                } else {
                    self.shared.lock().end(Some(error));
                }
                return Ok(());
            }
        }
    }

    fn now(&self) -> Duration {
        self.parts.clock.monotonic()
    }

    /// Opens a stream where there is none.
    fn prepare(&mut self, now: Duration) {
        if self.call.is_some() {
            return;
        }
        let Self { opening, parts, options, member, member_id, shared, .. } = self;
        opening.begin(now, || {
            let mut state = shared.lock();
            state.reconnect();
            let room = (options.buffer_bytes - state.buffered_bytes).max(0);
            let join = grpc::ConsumeJoin {
                group: options.group.clone(),
                options: Some(member.clone()),
                member_id: member_id.clone(),
                owned: state.owned(),
                form: grpc::RecordForm::Batch as i32,
                max_bytes: options.max_bytes,
                credit_bytes: Some(room),
                out_of_range: options.out_of_range() as i32,
            };
            Call::open(parts.connection.clone(), join)
        });
    }

    fn step_revocations(&mut self) {
        let on_revoke = self.options.on_revoke.as_ref();
        let callbacks = self.revocations.step(&self.shared, &self.parts.clock, on_revoke);
        self.callbacks.extend(callbacks);
    }

    /// Sends everything that is to be sent; nothing before the broker has answered the join.
    fn say_all(&mut self, now: Duration) {
        let Some(call) = self.call.as_ref().filter(|call| call.is_joined) else { return };
        let mut state = self.shared.lock();
        let mut frames = std::mem::take(&mut state.frames);
        if state.has_credit() {
            let bytes = std::mem::take(&mut state.freed_bytes);
            frames.push(Frame::Credit(grpc::ConsumeCredit { bytes }));
        }
        for request in std::mem::take(&mut state.requests) {
            frames.extend(self.commits.asked(&mut state, request));
        }
        if let Clearance::Wanted(_) = state.clearance
            && let Clearance::Wanted(wanted) = std::mem::replace(&mut state.clearance, Clearance::Asked)
        {
            frames.extend(self.commits.clearance(&mut state, wanted));
        }
        let gone = self.revocations.take_done();
        let last = state.take_last(&gone);
        frames.extend(self.commits.finished(&mut state, last));
        let partitions = state.release(&gone);
        if !partitions.is_empty() {
            frames.push(Frame::Revoked(grpc::ConsumeRevoked { partitions }));
        }
        if is_commit_due(&self.options, &state, &mut self.commit_at, now) {
            let finished = state.take_finished();
            frames.extend(self.commits.finished(&mut state, finished));
        }
        drop(state);
        frames.into_iter().for_each(|frame| call.say(frame));
    }

    /// Whether everything is done after the application wanted the end.
    fn finished(&mut self, now: Duration) -> Option<Result<(), Error>> {
        if !matches!(self.shared.lock().life, Life::Closing { .. }) {
            return None;
        }
        let since = *self.closing_since.get_or_insert(now);
        if self.call.as_ref().is_some_and(|call| call.is_joined) && self.commits.is_empty() {
            return Some(Ok(()));
        }
        (now >= since + CLOSE_TIMEOUT).then(|| {
            let message = format!(
                "group '{}': the broker did not take the last commit in time; what is not committed is read again",
                self.options.group
            );
            Err(Error::new(ErrorKind::TimedOut, message))
        })
    }

    /// Says goodbye, and waits for the broker to have heard it.
    async fn leave(mut self, result: Result<(), Error>) -> Result<(), Error> {
        let Some(call) = self.call.take() else { return result };
        if self.shared.lock().life == (Life::Closing { for_good: true }) {
            call.say(Frame::Leave(grpc::ConsumeLeave {}));
        }
        let mut rest = call.hang_up();
        let over = self.parts.clock.sleep(CLOSE_TIMEOUT);
        tokio::select! {
            () = async { while let Some(Ok(_)) = rest.next().await {} } => {}
            () = over => {}
        }
        result
    }

    async fn wait(&mut self) -> Happening {
        let timer = self.next_time().map(|at| at.saturating_sub(self.parts.clock.monotonic()));
        let timer = timer.map(|wait| self.parts.clock.sleep(wait));
        let (has_call, is_opening) = (self.call.is_some(), self.opening.next_begin().is_none());
        tokio::select! {
            biased;
            () = self.shared.wake.notified() => Happening::Woken,
            Some(number) = self.callbacks.next() => Happening::CalledBack(number),
            told = next_told(&mut self.call), if has_call => Happening::Told(told),
            opened = self.opening.finished(), if is_opening => Happening::Opened(opened),
            () = async { timer.expect("there is one").await }, if timer.is_some() => Happening::Woken,
        }
    }

    /// When something is to be done whatever happens.
    fn next_time(&self) -> Option<Duration> {
        let open_at = if self.call.is_none() { self.opening.next_begin() } else { None };
        let again_at = self.shared.lock().holdings.values().filter_map(|holding| holding.again_at).min();
        let close_at = self.closing_since.map(|since| since + CLOSE_TIMEOUT);
        // Nothing can be committed before the broker has answered the join.
        let commit_at = self.commit_at.filter(|_| self.call.as_ref().is_some_and(|call| call.is_joined));
        let times = [open_at, again_at, close_at, commit_at, self.revocations.next_deadline()];
        times.into_iter().flatten().min()
    }

    /// Takes what happened. Gives the error that ends everything.
    fn take(&mut self, happening: Happening) -> Option<Error> {
        match happening {
            Happening::Woken => self.look_at_failing(),
            Happening::CalledBack(number) => self.revocations.called(number),
            Happening::Opened(Ok(call)) => self.call = Some(call),
            Happening::Opened(Err(error)) => return self.lost(error),
            Happening::Told(Some(Ok(response))) => {
                if let Err(error) = self.hear(response) {
                    return self.lost(error);
                }
            }
            Happening::Told(Some(Err(error))) => return self.lost(error),
            Happening::Told(None) => {
                return self.lost(Error::new(ErrorKind::Unavailable, "the broker ended the stream"));
            }
        }
        None
    }

    /// Reads partitions again that had a passing error, a little later.
    fn look_at_failing(&mut self) {
        let now = self.now();
        let mut state = self.shared.lock();
        for (id, failures) in std::mem::take(&mut state.failing) {
            if let Some(holding) = state.holdings.get_mut(&id) {
                holding.again_at = Some(now + self.backoff.delay(failures));
            }
        }
        let is_due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        let due: Vec<TopicPartition> =
            state.holdings.iter().filter(|(_, held)| is_due(held.again_at)).map(|(id, _)| *id).collect();
        for id in due {
            if let Some(holding) = state.holdings.get_mut(&id) {
                holding.again_at = None;
            }
            state.rewind(id);
        }
    }

    fn hear(&mut self, response: grpc::ConsumeResponse) -> Result<(), Error> {
        let now = self.now();
        let mut state = self.shared.lock();
        match response.frame {
            Some(Told::Joined(joined)) => {
                drop(state);
                self.joined(joined);
            }
            Some(Told::Assigned(assigned)) => state.assign(arrivals(assigned)?),
            Some(Told::Revoke(revoke)) => {
                let ids = state.revoke(&revoke.partitions);
                let deadline_ms = u64::try_from(revoke.deadline_ms).unwrap_or(0);
                self.revocations.begin(ids, now, Duration::from_millis(deadline_ms));
            }
            Some(Told::Lost(lost)) => state.lose(lost.partitions.iter().filter_map(id_of)),
            Some(Told::Records(records)) => state.receive(records),
            Some(Told::Committed(committed)) => self.commits.take(&mut state, committed),
            // A kind of frame that this client does not know.
            None => {}
        }
        Ok(())
    }

    fn joined(&mut self, joined: grpc::ConsumeJoined) {
        self.opening.succeeded();
        let before = std::mem::replace(&mut self.member_id, joined.member_id);
        self.shared.lock().member_id = self.member_id.as_str().into();
        if !before.is_empty() && before != self.member_id && self.options.instance_id.is_empty() {
            let mut state = self.shared.lock();
            state.lose_all();
            state.tell(GroupEvent::Error(given_up(&self.options.group, &before)));
        }
        if let Some(call) = &mut self.call {
            call.is_joined = true;
        }
        if let Some(first) = self.first.take() {
            // Who started it may be gone.
            let _ = first.send(Ok(()));
        }
    }

    /// The stream is over. Gives the error that no other stream can mend.
    fn lost(&mut self, error: Error) -> Option<Error> {
        self.call = None;
        let mut state = self.shared.lock();
        self.commits.reconnect(&mut state);
        if error.kind == ErrorKind::UnknownMember && self.first.is_none() {
            self.member_id.clear();
            state.lose_all();
            state.tell(GroupEvent::Error(error));
            return None;
        }
        drop(state);
        if !error.kind.is_retriable() || self.first.is_some() {
            return Some(error);
        }
        let now = self.now();
        self.opening.failed(now);
        if self.opening.failures() == 1 {
            tracing::warn!(%error, group = self.options.group, "a member lost its stream; coming back");
        }
        None
    }
}

/// Whether finished records are to be committed now: at their time, or at the end.
fn is_commit_due(options: &Options, state: &State, commit_at: &mut Option<Duration>, now: Duration) -> bool {
    let CommitMode::After(interval) = options.commit else { return false };
    if !state.is_dirty {
        return false;
    }
    let is_closing = matches!(state.life, Life::Closing { .. });
    if is_closing || commit_at.is_some_and(|at| at <= now) {
        *commit_at = None;
        return true;
    }
    commit_at.get_or_insert(now + interval);
    false
}

/// The next response of an open stream.
async fn next_told(call: &mut Option<Call>) -> Option<Result<grpc::ConsumeResponse, Error>> {
    match call {
        Some(call) => call.responses.next().await,
        None => std::future::pending().await,
    }
}

fn given_up(group: &str, member_id: &str) -> Error {
    let message = format!(
        "group '{group}': member '{member_id}' was away for longer than its session timeout; it joined anew, and what it had \
         not committed is read again"
    );
    Error::new(ErrorKind::UnknownMember, message)
}
