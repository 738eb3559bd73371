//! What is wrong with a word that is no place in a partition. Pure.

use super::{FORMS, number, place, span, time};
use crate::base::Timestamp;
use crate::base::closest::closest;

/// The words of the grammar.
const WORDS: [&str; 5] = ["start", "end", "beginning", "earliest", "latest"];

/// Why `text` is neither a place nor a span, and which forms there are.
pub(super) fn not_an_offset(text: &str, now_ms: Timestamp) -> String {
    format!("'{text}' is not an offset: {}\n  the forms are: {FORMS}", why(text, now_ms))
}

/// Why `text` is not one place; ranges are none.
pub(super) fn not_a_place(text: &str, now_ms: Timestamp) -> String {
    match span(text, now_ms) {
        Some(_) => {
            format!("'{text}' is a range, and one place is wanted: give its beginning or its end alone")
        }
        None => not_an_offset(text, now_ms),
    }
}

/// A span whose end lies before its beginning.
pub(super) fn backward(words: &[String]) -> String {
    let given = words.join(" -o ");
    format!("'{given}' ends before it begins; write the earlier place first: A:B reads from A up to B")
}

/// Two words that are no pair.
pub(super) fn no_pair(first: &str, second: &str) -> String {
    format!(
        "'{first}' and '{second}' do not go together: two -o are s@TIME and e@TIME; a range is one word, such as 3:9 or @-2h:@-1h"
    )
}

/// More words than a pair.
pub(super) fn too_many(words: &[String]) -> String {
    format!(
        "{} words, '{}', are too many: give one, such as start or 3:9, or the two s@TIME and e@TIME",
        words.len(),
        words.join("' '")
    )
}

fn why(text: &str, now_ms: Timestamp) -> String {
    let kcat = text.strip_prefix("s@").or_else(|| text.strip_prefix("e@"));
    if let Some(rest) = kcat.or_else(|| text.strip_prefix('@')) {
        return why_no_time(rest, now_ms);
    }
    match text.split_once(':') {
        Some(("", "")) => "nothing stands beside the colon".to_owned(),
        Some((left, right)) => {
            let is_wrong = |part: &&str| !part.is_empty() && place(part, now_ms).is_none();
            let wrong = [left, right].into_iter().find(is_wrong);
            wrong.map_or_else(
                || "a time behind the colon needs its @".to_owned(),
                |part| format!("'{part}': {}", why_no_place(part)),
            )
        }
        None => why_no_place(text),
    }
}

fn why_no_place(text: &str) -> String {
    let digits = text.trim_start_matches("start").trim_start_matches("end").trim_start_matches(['-', '+']);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match text {
        "" => "it is empty".to_owned(),
        "committed" => {
            "committed offsets are those of a consumer group: 'weir consume TOPIC -g GROUP' reads on there"
                .to_owned()
        }
        _ if text.starts_with('@') => "a time is written @TIME".to_owned(),
        _ if is_number && number(digits).is_none() => {
            format!("{digits} is greater than the greatest offset, {}", i64::MAX)
        }
        _ if is_number && text.starts_with("end+") => "there is nothing behind the end".to_owned(),
        _ if is_number && text.starts_with("start-") => "there is nothing before the start".to_owned(),
        _ => match closest(text, WORDS) {
            Some(word) => format!("did you mean '{word}'?"),
            None => "it is no number, no time and no word of the grammar".to_owned(),
        },
    }
}

/// Why what stands behind an @ is no time, or no two times.
fn why_no_time(text: &str, now_ms: Timestamp) -> String {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text {
        "" => "no time stands behind the @".to_owned(),
        _ if is_number(text) => format!("{text} is more than ms since 1970 can be"),
        _ if text.strip_prefix('-').is_some_and(is_number) => {
            format!("'{text}' has no unit: write {text}s, {text}m, {text}h or {text}d")
        }
        _ if text.starts_with('+') => format!("'{text}' is to come: times count back from now, such as -1h"),
        _ => match text.split_once(":") {
            Some((left, right)) if time(left, now_ms).is_some() && !right.contains(':') => {
                why_no_time(right.trim_start_matches('@'), now_ms)
            }
            _ => format!("'{text}' is no time"),
        },
    }
}
