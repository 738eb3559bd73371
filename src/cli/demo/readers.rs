//! The members of the demo's group: they join, they leave, and one goes without a word.

use futures_util::FutureExt;
use futures_util::future::select_all;

use crate::cli::exit::Failure;
use crate::client::{Client, GroupConsumer, GroupEvent, Start};

/// The group.
pub(super) const GROUP: &str = "readers";

/// One member.
struct Reader {
    number: usize,
    consumer: GroupConsumer,
}

impl Reader {
    async fn next(&mut self) -> (usize, Option<GroupEvent>) {
        (self.number, self.consumer.next_event().await)
    }
}

/// The members that there are; each has a number that no other ever had.
#[derive(Default)]
pub(super) struct Readers {
    readers: Vec<Reader>,
    joined: usize,
}

impl Readers {
    /// One more joins, to read this topic. Gives its number, which counts from 1.
    ///
    /// Errors: the broker refuses it, or can't be reached.
    pub(super) async fn join(&mut self, client: &Client, topic: &str) -> Result<usize, Failure> {
        let builder = client.consumer().group(GROUP).topics([topic]).start(Start::Beginning);
        let consumer = builder.client_id(format!("reader-{}", self.joined + 1)).build().await?;
        self.joined += 1;
        self.readers.push(Reader { number: self.joined, consumer });
        Ok(self.joined)
    }

    /// The oldest commits what it has read, and leaves. Gives its number.
    ///
    /// Errors: the broker can't be told.
    pub(super) async fn leave(&mut self) -> Result<usize, Failure> {
        let Reader { number, consumer } = self.readers.remove(0);
        consumer.close().await?;
        Ok(number)
    }

    /// The oldest is dropped, with all that it has not committed. Gives its number.
    pub(super) fn drop_out(&mut self) -> usize {
        self.readers.remove(0).number
    }

    /// The numbers of those that there are.
    pub(super) fn numbers(&self) -> Vec<usize> {
        self.readers.iter().map(|reader| reader.number).collect()
    }

    /// The next event of any of them, with its number. Waits for ever where there are none.
    ///
    /// Errors: what a reader tells; another took its place.
    pub(super) async fn next(&mut self) -> Result<(usize, GroupEvent), Failure> {
        if self.readers.is_empty() {
            return std::future::pending().await;
        }
        let next = self.readers.iter_mut().map(|reader| reader.next().boxed());
        let ((number, event), ..) = select_all(next).await;
        match event {
            Some(GroupEvent::Error(error)) => Err(error.into()),
            Some(event) => Ok((number, event)),
            None => Err(Failure::failed(format!("reader {number} stands still; see the error above"))),
        }
    }

    /// All commit and leave.
    ///
    /// Errors: the broker can't be told.
    pub(super) async fn leave_all(&mut self) -> Result<(), Failure> {
        while !self.readers.is_empty() {
            self.leave().await?;
        }
        Ok(())
    }
}
