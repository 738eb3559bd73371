//! Metadata that could not be committed, as public errors.

use crate::base::{Error, ErrorKind, Outcome};
use crate::cluster::CommitError;

use super::errors::shutting_down;

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        let kind = match &error {
            CommitError::Closed => return shutting_down().outcome(Outcome::Unknown),
            // A request is checked before it becomes a command, so this is a mistake of ours.
            CommitError::Refused(_) => ErrorKind::Internal,
            CommitError::DiskFull(_) => ErrorKind::DiskFull,
            CommitError::NotWritten(_) | CommitError::Failed(_) => ErrorKind::StorageError,
        };
        let outcome = match &error {
            CommitError::Failed(_) => Outcome::Unknown,
            _ => Outcome::NotWritten,
        };
        let advice = match &error {
            CommitError::NotWritten(_) => "cure that, and try again",
            _ => kind.row().advice,
        };
        Error::new(kind, format!("metadata can't be changed: {error}; {advice}"))
            .outcome(outcome)
            .caused_by(error)
    }
}
