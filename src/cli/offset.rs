//! The one grammar for places in a partition, used by `consume -o` and `topic trim --to`. Pure.
//!
//! ```text
//! start  end          first readable record, after the last one      (also: beginning, earliest, latest)
//! N                   offset N
//! -N  end-N           N before the end, at least the start
//! +N  start+N         N after the start, at most the end
//! A:B  A:  :B         from A up to but not including B; B ends the reading
//! @T  @T1:T2          first record with timestamp >= T
//! s@T  e@T            kcat's words for "from T" and "up to T"; both may be given
//! T                   ms since 1970 | 2026-01-15 | 2026-01-15T10:00[:00[Z]] | now | -1h
//! ```
//! Times without a zone are UTC.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::base::time::parse_ms;
use crate::base::{Offset, Timestamp};

mod wrong;

/// The forms, as an error lists them.
const FORMS: &str = "start, end, N, -N (end minus N), +N (start plus N), A:B (from A up to B), @TIME, @TIME:TIME\n  \
    TIME is ms since 1970, 2026-01-15, 2026-01-15T10:00:00Z, now, or -1h";

/// One place in every partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The first readable record.
    Start,
    /// After the last readable record.
    End,
    /// This offset.
    At(Offset),
    /// So many records before the end, at least the start.
    BeforeEnd(i64),
    /// So many records after the start, at most the end.
    AfterStart(i64),
    /// The first record whose timestamp is at or after this one.
    Time(Timestamp),
}

/// From where to read, and before which place to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The first place read.
    pub from: Place,
    /// The first place not read any more; `None` reads on.
    pub to: Option<Place>,
}

/// What a partition holds, and what a search by time gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// First readable offset.
    pub start: Offset,
    /// Offset after the last readable record.
    pub end: Offset,
}

impl Place {
    /// The offset of this place in a partition with these bounds. `found` is what the search for the timestamp of
    /// [`Place::Time`] gave: `None` (no such record) stands for the end.
    pub fn resolve(self, bounds: Bounds, found: Option<Offset>) -> Offset {
        match self {
            Place::Start => bounds.start,
            Place::End => bounds.end,
            Place::At(offset) => offset,
            Place::BeforeEnd(count) => bounds.end.saturating_sub(count).max(bounds.start),
            Place::AfterStart(count) => bounds.start.saturating_add(count).min(bounds.end),
            Place::Time(_) => found.unwrap_or(bounds.end),
        }
    }

    /// The timestamp to search for, where there is one.
    pub fn timestamp(self) -> Option<Timestamp> {
        match self {
            Place::Time(timestamp) => Some(timestamp),
            _ => None,
        }
    }
}

/// Reads one place. `now_ms` is what relative times count from.
///
/// Errors: a sentence that names the word, says what is wrong with it and lists the forms.
pub fn parse_place(text: &str, now_ms: Timestamp) -> Result<Place, String> {
    place(text, now_ms).ok_or_else(|| wrong::not_a_place(text, now_ms))
}

/// Reads what `-o` was given: one span, or kcat's pair `s@T` and `e@T`.
///
/// Errors: a sentence that names the words, says what is wrong with them and what would be right.
pub fn parse_span(words: &[String], now_ms: Timestamp) -> Result<Span, String> {
    let found = match words {
        [] => Span { from: Place::End, to: None },
        [word] => span(word, now_ms).ok_or_else(|| wrong::not_an_offset(word, now_ms))?,
        [first, second] => pair(first, second, now_ms)?,
        _ => return Err(wrong::too_many(words)),
    };
    if is_backward(found) { Err(wrong::backward(words)) } else { Ok(found) }
}

/// Whether a span ends before it begins, as far as that can be seen without a partition.
fn is_backward(span: Span) -> bool {
    match (span.from, span.to) {
        (Place::At(from), Some(Place::At(to))) | (Place::Time(from), Some(Place::Time(to))) => from > to,
        (Place::AfterStart(from), Some(Place::AfterStart(to))) => from > to,
        (Place::BeforeEnd(from), Some(Place::BeforeEnd(to))) => from < to,
        _ => false,
    }
}

fn pair(first: &str, second: &str, now_ms: Timestamp) -> Result<Span, String> {
    let (from, to) = match (first.strip_prefix("s@"), second.strip_prefix("e@")) {
        (Some(from), Some(to)) => (from, to),
        _ => match (second.strip_prefix("s@"), first.strip_prefix("e@")) {
            (Some(from), Some(to)) => (from, to),
            _ => return Err(wrong::no_pair(first, second)),
        },
    };
    let from = time(from, now_ms).ok_or_else(|| wrong::not_an_offset(first, now_ms))?;
    let to = time(to, now_ms).ok_or_else(|| wrong::not_an_offset(second, now_ms))?;
    Ok(Span { from: Place::Time(from), to: Some(Place::Time(to)) })
}

fn span(text: &str, now_ms: Timestamp) -> Option<Span> {
    if let Some(from) = text.strip_prefix("s@") {
        return Some(Span { from: Place::Time(time(from, now_ms)?), to: None });
    }
    if let Some(to) = text.strip_prefix("e@") {
        return Some(Span { from: Place::Start, to: Some(Place::Time(time(to, now_ms)?)) });
    }
    if let Some(from) = place(text, now_ms) {
        return Some(Span { from, to: None });
    }
    // WHY: times hold colons themselves, so the range is split at the first colon with a place on both sides.
    text.match_indices(':').find_map(|(at, _)| halves(&text[..at], &text[at + 1..], now_ms))
}

fn halves(left: &str, right: &str, now_ms: Timestamp) -> Option<Span> {
    if left.is_empty() && right.is_empty() {
        return None;
    }
    let from = if left.is_empty() { Place::Start } else { place(left, now_ms)? };
    if right.is_empty() {
        return Some(Span { from, to: None });
    }
    let in_times = left.starts_with('@');
    let to = match place(right, now_ms) {
        Some(place) if !in_times || right.starts_with('@') || matches!(place, Place::Start | Place::End) => {
            place
        }
        _ if in_times => Place::Time(time(right, now_ms)?),
        _ => return None,
    };
    Some(Span { from, to: Some(to) })
}

fn place(text: &str, now_ms: Timestamp) -> Option<Place> {
    match text {
        "start" | "beginning" | "earliest" => return Some(Place::Start),
        "end" | "latest" => return Some(Place::End),
        _ => {}
    }
    if let Some(rest) = text.strip_prefix('@') {
        return time(rest, now_ms).map(Place::Time);
    }
    if let Some(count) = text.strip_prefix("end").unwrap_or(text).strip_prefix('-') {
        return number(count).map(Place::BeforeEnd);
    }
    if let Some(count) = text.strip_prefix("start").unwrap_or(text).strip_prefix('+') {
        return number(count).map(Place::AfterStart);
    }
    number(text).map(Place::At)
}

/// Digits only: `i64::from_str` would take a second sign.
fn number(text: &str) -> Option<i64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// A time; one before 1970 is before every record.
fn time(text: &str, now_ms: Timestamp) -> Option<Timestamp> {
    any_time(text, now_ms).map(|timestamp| timestamp.max(0))
}

fn any_time(text: &str, now_ms: Timestamp) -> Option<Timestamp> {
    if text == "now" {
        return Some(now_ms);
    }
    if let Some(timestamp) = number(text) {
        return Some(timestamp);
    }
    if let Some(ago) = text.strip_prefix('-') {
        // WHY: a bare number here would be read as ms, which nobody means by "-5".
        let has_unit = ago.ends_with(|last: char| last.is_ascii_alphabetic());
        let ago = parse_ms(ago).ok().filter(|ago| has_unit && *ago >= 0)?;
        return now_ms.checked_sub(ago);
    }
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Some(timestamp.as_millisecond());
    }
    let civil: DateTime = text.parse().ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = 1_800_000_000_000;

    fn one(text: &str) -> Result<Span, String> {
        parse_span(&[text.to_owned()], NOW)
    }

    fn from(place: Place) -> Span {
        Span { from: place, to: None }
    }

    fn range(from: Place, to: Place) -> Span {
        Span { from, to: Some(to) }
    }

    #[test]
    fn every_form_of_one_place() {
        let day = 1_768_435_200_000;
        for (text, place) in [
            ("start", Place::Start),
            ("@-99999999d", Place::Time(0)),
            ("@1960-01-01", Place::Time(0)),
            ("beginning", Place::Start),
            ("end", Place::End),
            ("0", Place::At(0)),
            ("42", Place::At(42)),
            ("-1", Place::BeforeEnd(1)),
            ("-100", Place::BeforeEnd(100)),
            ("end-7", Place::BeforeEnd(7)),
            ("+5", Place::AfterStart(5)),
            ("start+5", Place::AfterStart(5)),
            ("@0", Place::Time(0)),
            ("@1767268801000", Place::Time(1_767_268_801_000)),
            ("@now", Place::Time(NOW)),
            ("@-1h", Place::Time(NOW - 3_600_000)),
            ("@-90s", Place::Time(NOW - 90_000)),
            ("@2026-01-15", Place::Time(day)),
            ("@2026-01-15T10:00", Place::Time(day + 36_000_000)),
            ("@2026-01-15T10:00:30", Place::Time(day + 36_030_000)),
            ("@2026-01-15T10:00:30Z", Place::Time(day + 36_030_000)),
            ("@2026-01-15T12:00:30.250+02:00", Place::Time(day + 36_030_250)),
            ("s@77", Place::Time(77)),
        ] {
            assert_eq!(one(text), Ok(from(place)), "{text}");
        }
    }

    #[test]
    fn every_form_of_a_range() {
        let day = 1_768_435_200_000;
        for (text, span) in [
            ("3:9", range(Place::At(3), Place::At(9))),
            ("-10:-3", range(Place::BeforeEnd(10), Place::BeforeEnd(3))),
            ("-10:end", range(Place::BeforeEnd(10), Place::End)),
            (":end", range(Place::Start, Place::End)),
            (":5", range(Place::Start, Place::At(5))),
            ("5:", from(Place::At(5))),
            ("+2:+4", range(Place::AfterStart(2), Place::AfterStart(4))),
            ("@-1h:@now", range(Place::Time(NOW - 3_600_000), Place::Time(NOW))),
            ("@-1h:now", range(Place::Time(NOW - 3_600_000), Place::Time(NOW))),
            ("@-2h:-1h", range(Place::Time(NOW - 7_200_000), Place::Time(NOW - 3_600_000))),
            ("@-1h:end", range(Place::Time(NOW - 3_600_000), Place::End)),
            ("@1000:2000", range(Place::Time(1000), Place::Time(2000))),
            ("@2026-01-15:2026-01-16", range(Place::Time(day), Place::Time(day + 86_400_000))),
            (
                "@2026-01-15T10:00:@2026-01-15T11:00",
                range(Place::Time(day + 36_000_000), Place::Time(day + 39_600_000)),
            ),
            (
                "@2026-01-15T10:00:00Z:2026-01-15T11:00:00Z",
                range(Place::Time(day + 36_000_000), Place::Time(day + 39_600_000)),
            ),
            ("e@500", range(Place::Start, Place::Time(500))),
        ] {
            assert_eq!(one(text), Ok(span), "{text}");
        }
    }

    #[test]
    fn unknown_words_are_quoted_with_the_reason_and_the_forms() {
        for (text, why) in [
            ("", "it is empty"),
            ("strat", "did you mean 'start'?"),
            ("begining", "did you mean 'beginning'?"),
            ("tomorrow", "it is no number, no time and no word of the grammar"),
            ("12x", "it is no number"),
            ("--5", "it is no number"),
            ("+-5", "it is no number"),
            ("-+5", "it is no number"),
            ("1.5", "it is no number"),
            ("99999999999999999999", "is greater than the greatest offset, 9223372036854775807"),
            ("-99999999999999999999", "is greater than the greatest offset"),
            ("end+1", "there is nothing behind the end"),
            ("start-1", "there is nothing before the start"),
            ("committed", "weir consume TOPIC -g GROUP"),
            (":", "nothing stands beside the colon"),
            ("::", "it is no number"),
            ("3:x", "'x': it is no number"),
            ("x:3", "'x': it is no number"),
            ("3:edn", "'edn': did you mean 'end'?"),
            ("5::7", "':7': it is no number"),
            ("@", "no time stands behind the @"),
            ("@yesterday", "'yesterday' is no time"),
            ("@2026-13-01", "'2026-13-01' is no time"),
            ("@-5", "'-5' has no unit: write -5s, -5m, -5h or -5d"),
            ("@-1h:-5", "'-5' has no unit"),
            ("@-1h:soon", "'soon' is no time"),
            ("@+1h", "'+1h' is to come"),
            ("@99999999999999999999", "is more than ms since 1970 can be"),
            ("s@", "no time stands behind the @"),
            ("e@x", "'x' is no time"),
        ] {
            let error = one(text).expect_err(text);
            let begins = format!("'{text}' is not an offset: ");
            assert!(error.starts_with(&begins) && error.contains(why), "{text}: {error}");
            assert!(error.contains("\n  the forms are: start, end"), "{text}: {error}");
        }
        let range = parse_place("3:9", NOW).expect_err("two places");
        assert!(range.starts_with("'3:9' is a range, and one place is wanted"), "{range}");
        assert!(parse_place("strat", NOW).expect_err("none").contains("did you mean 'start'?"));
    }

    #[test]
    fn ranges_that_run_backward_are_refused() {
        for text in ["9:3", "@now:@-1h", "-3:-10", "+4:+2", "@2000:1000"] {
            let error = one(text).expect_err(text);
            assert!(error.starts_with(&format!("'{text}' ends before it begins; write")), "{error}");
        }
        assert!(one("5:5").is_ok(), "an empty range is a range");
    }

    #[test]
    fn kcats_pair_goes_in_either_order() {
        let words = |first: &str, second: &str| parse_span(&[first.to_owned(), second.to_owned()], NOW);
        let expected = Ok(range(Place::Time(5), Place::Time(9)));
        assert_eq!(words("s@5", "e@9"), expected);
        assert_eq!(words("e@9", "s@5"), expected);
        let error = words("s@9", "e@5").expect_err("backward");
        assert!(error.starts_with("'s@9 -o e@5' ends before it begins"), "{error}");
        for (first, second) in [("s@5", "s@9"), ("start", "end"), ("s@5", "9")] {
            let error = words(first, second).expect_err("no pair");
            assert!(error.starts_with(&format!("'{first}' and '{second}' do not go together")), "{error}");
        }
        let three = ["1", "2", "3"].map(str::to_owned);
        assert!(
            parse_span(&three, NOW).expect_err("three").starts_with("3 words, '1' '2' '3', are too many")
        );
        assert_eq!(parse_span(&[], NOW), Ok(from(Place::End)));
    }

    #[test]
    fn places_are_clamped_to_what_the_partition_holds() {
        let bounds = Bounds { start: 10, end: 20 };
        for (place, found, offset) in [
            (Place::Start, None, 10),
            (Place::End, None, 20),
            (Place::At(3), None, 3),
            (Place::BeforeEnd(4), None, 16),
            (Place::BeforeEnd(400), None, 10),
            (Place::BeforeEnd(i64::MAX), None, 10),
            (Place::AfterStart(4), None, 14),
            (Place::AfterStart(i64::MAX), None, 20),
            (Place::Time(5), Some(12), 12),
            (Place::Time(5), None, 20),
        ] {
            assert_eq!(place.resolve(bounds, found), offset, "{place:?}");
        }
        assert_eq!(Place::Time(5).timestamp(), Some(5));
        assert_eq!(Place::End.timestamp(), None);
    }

    proptest! {
        #[test]
        fn ranges_of_printed_times_are_read_back(a in 0i64..4_000_000_000_000, length in 0i64..1_000_000_000) {
            let print = |ms: i64| jiff::Timestamp::from_millisecond(ms).expect("in range").to_string();
            let text = format!("@{}:{}", print(a), print(a + length));
            prop_assert_eq!(one(&text), Ok(range(Place::Time(a), Place::Time(a + length))));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+:@0-9a-zT.]{0,24}") {
            let _ = one(&text);
        }
    }
}
