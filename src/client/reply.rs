//! Replies of requests that are built up and then awaited.

use std::pin::Pin;

use crate::base::Error;

/// The future of a request.
pub(super) type Reply<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// Whether a page follows, whose token then takes the place of the one that was asked with. One that names itself would never end.
pub(super) fn has_next(asked: &mut String, next: String) -> bool {
    let is_new = !next.is_empty() && next != *asked;
    *asked = next;
    is_new
}
