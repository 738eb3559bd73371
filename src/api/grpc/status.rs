//! Errors on the wire: a status with exactly one `google.rpc.ErrorInfo`, or an item inside a reply.

use std::collections::HashMap;
use std::time::Duration;

use http::Response;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::base::{Error, ErrorKind, Outcome};
use crate::proto::grpc as pb;

/// Domain of every `ErrorInfo`.
pub const DOMAIN: &str = "weir";

/// What a client waits before it tries again, at least.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Header that holds the details of a status.
const DETAILS_HEADER: &str = "grpc-status-details-bin";

/// Bytes of a status that are told of its message and of each fact. A status travels in headers, of which clients take
/// 8 KiB, and its message three times: escaped, in the details, and as a `BadRequest`.
const MESSAGE_BYTES_MAX: usize = 1 << 10;
const FACT_BYTES_MAX: usize = 256;

/// The error of a whole call. A fact named `field` also becomes a `BadRequest`.
pub fn status(error: Error) -> Status {
    let row = error.kind.row();
    let mut facts: HashMap<String, String> =
        error.metadata.iter().map(|(name, value)| ((*name).to_owned(), cut(value, FACT_BYTES_MAX))).collect();
    let message = cut(&error.message, MESSAGE_BYTES_MAX);
    facts.insert("outcome".to_owned(), outcome_word(error.outcome).to_owned());
    let mut details = ErrorDetails::with_error_info(row.reason, DOMAIN, facts);
    if error.kind.is_retriable() {
        details.set_retry_info(Some(RETRY_DELAY));
    }
    if let Some(field) = error.metadata.get("field") {
        details.add_bad_request_violation(field.clone(), message.clone());
    }
    Status::with_error_details(Code::from_i32(row.grpc), message, details)
}

/// The text up to `bytes_max`; where it is cut, it says so.
fn cut(text: &str, bytes_max: usize) -> String {
    match text.len() > bytes_max {
        true => format!("{}...", &text[..text.floor_char_boundary(bytes_max)]),
        false => text.to_owned(),
    }
}

/// The error of one item inside a reply.
pub fn item_error(error: Error) -> pb::ItemError {
    pb::ItemError {
        reason: error.kind as i32 + 1,
        retriable: error.kind.is_retriable(),
        outcome: match error.outcome {
            Outcome::Written => pb::Outcome::Written,
            Outcome::NotWritten => pb::Outcome::NotWritten,
            Outcome::Unknown => pb::Outcome::Unknown,
        }
        .into(),
        metadata: error.metadata.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        message: error.message,
    }
}

fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Written => "WRITTEN",
        Outcome::NotWritten => "NOT_WRITTEN",
        Outcome::Unknown => "UNKNOWN",
    }
}

/// Gives a status that the machinery below made its `ErrorInfo` and the next step; its code and words stay.
pub fn completed(found: Status) -> Status {
    if !found.details().is_empty() {
        return found;
    }
    let kind = kind_of(found.code());
    let message = match found.message() {
        // All that tonic says of an unknown method is its code.
        "" => next_step(found.code()).to_owned(),
        words => format!("{words}; {}", next_step(found.code())),
    };
    let details = ErrorDetails::with_error_info(kind.row().reason, DOMAIN, HashMap::new());
    Status::with_error_details(found.code(), message, details)
}

/// What the caller does about a status of the machinery.
fn next_step(code: Code) -> &'static str {
    match code {
        Code::OutOfRange => "send smaller messages",
        Code::Unimplemented => {
            "the broker does not know this service, method or encoding: reflection lists what there is, and messages \
             travel without compression"
        }
        Code::NotFound => "ask reflection for the names that there are",
        Code::Internal | Code::InvalidArgument => {
            "send whole messages as the proto files of weir.v1 define them"
        }
        code => kind_of(code).row().advice,
    }
}

/// The same for a reply that is an error and nothing else, such as for an unknown method or a message that is too large.
pub fn complete_reply(mut reply: Response<Body>) -> Response<Body> {
    if reply.headers().contains_key(DETAILS_HEADER) {
        return reply;
    }
    if let Some(found) = Status::from_header_map(reply.headers()).filter(|found| found.code() != Code::Ok) {
        // A status that can't be written as headers leaves the reply as it was, which is an error already.
        let _ = completed(found).add_header(reply.headers_mut());
    }
    reply
}

fn kind_of(code: Code) -> ErrorKind {
    match code {
        // tonic's word for a message above its limit.
        Code::OutOfRange => ErrorKind::RecordTooLarge,
        // An unknown method, bytes that are no message, or a service without health.
        Code::Unimplemented | Code::InvalidArgument | Code::Internal | Code::NotFound => {
            ErrorKind::InvalidRequest
        }
        Code::ResourceExhausted => ErrorKind::Throttled,
        Code::DeadlineExceeded | Code::Cancelled => ErrorKind::TimedOut,
        Code::Unavailable | Code::Unknown => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::KINDS;

    #[test]
    fn reasons_have_the_numbers_of_the_proto_file() {
        for row in KINDS {
            let item = item_error(Error::new(row.kind, "why"));
            let named = pb::ErrorReason::from_str_name(&format!("ERROR_REASON_{}", row.reason));
            assert_eq!(named.map(|reason| reason as i32), Some(item.reason), "{}", row.reason);
        }
    }

    #[test]
    fn a_status_has_one_error_info_and_says_when_to_try_again() {
        let error = Error::new(ErrorKind::Throttled, "slower").with("field", "x");
        let status = status(error);
        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = status.get_error_details();
        let info = details.error_info().expect("always there");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("THROTTLED", "weir"));
        assert_eq!(info.metadata["outcome"], "NOT_WRITTEN");
        assert!(details.retry_info().is_some());
        assert_eq!(details.bad_request().expect("there is a field").field_violations[0].field, "x");
        let never = super::status(Error::new(ErrorKind::TopicNotFound, "no"));
        assert!(never.get_error_details().retry_info().is_none());
    }

    #[test]
    fn a_status_fits_the_headers_that_clients_take() {
        let long = "é".repeat(100_000);
        let error = Error::new(ErrorKind::InvalidConfig, &long).with("field", "x").with("keys", &long);
        let reply = status(error).into_http::<()>();
        let bytes: usize =
            reply.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        assert!(bytes < 8 << 10, "{bytes}");
        let found = Status::from_header_map(reply.headers()).expect("an error");
        assert!(found.message().ends_with("é..."), "{}", found.message());
    }

    #[test]
    fn what_the_machinery_refuses_gets_its_error_info_too() {
        let told = |status: Status| {
            let reply = complete_reply(status.into_http());
            let found = Status::from_header_map(reply.headers()).expect("an error");
            let reason = found.get_error_details().error_info().expect("added").reason.clone();
            (found.code(), found.message().to_owned(), reason)
        };
        let (code, message, reason) = told(Status::unimplemented(""));
        assert_eq!((code, reason.as_str()), (Code::Unimplemented, "INVALID_REQUEST"));
        assert!(
            message.contains("reflection"),
            "tonic's own words for an unknown method are none: {message}"
        );
        let (code, message, reason) = told(Status::not_found("service not registered"));
        assert_eq!((code, reason.as_str()), (Code::NotFound, "INVALID_REQUEST"));
        assert!(message.starts_with("service not registered; "), "{message}");
        let (_, message, reason) = told(Status::out_of_range("message length too large"));
        assert_eq!(reason, "RECORD_TOO_LARGE");
        assert!(message.ends_with("; send smaller messages"), "{message}");
        let own = status(Error::new(ErrorKind::DiskFull, "full"));
        let reply = complete_reply(own.into_http());
        let found = Status::from_header_map(reply.headers()).expect("an error");
        assert_eq!(found.get_error_details().error_info().expect("kept").reason, "DISK_FULL");
        assert!(complete_reply(Response::new(Body::default())).headers().is_empty());
    }
}
