//! Points in time as stored and sent.

use std::time::Duration;

/// Milliseconds since 1970-01-01 UTC. Negative values stand for "none" in batches.
pub type Timestamp = i64;

/// Stands for "no timestamp".
pub const NO_TIMESTAMP: Timestamp = -1;

/// Whole milliseconds of a duration, saturating.
pub fn as_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Reads a duration in words: a number with `ms`, `s`, `m`, `h`, `d` or `w`; a bare number is milliseconds;
/// `-1` (for ever) stays -1. Returns milliseconds.
///
/// Errors: a sentence that says what was expected.
pub fn parse_ms(text: &str) -> Result<i64, String> {
    let wrong = || format!("'{text}' is not a duration such as 500ms, 30s, 10m, 12h, 7d");
    let text = text.trim();
    if text == "-1" {
        return Ok(-1);
    }
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: i64 = text[..split].parse().map_err(|_| wrong())?;
    let unit: i64 = match text[split..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

/// Prints milliseconds with the largest unit that divides them: `604800000` is `7d`.
pub fn print_ms(ms: i64) -> String {
    if ms < 0 {
        return "none".to_owned();
    }
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    match units.iter().find(|(size, _)| ms >= *size && ms % size == 0) {
        Some((size, name)) => format!("{}{name}", ms / size),
        None => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_are_read() {
        assert_eq!(parse_ms("7d"), Ok(604_800_000));
        assert_eq!(parse_ms("1500"), Ok(1500));
        assert_eq!(parse_ms("-1"), Ok(-1));
        assert_eq!(parse_ms("2 h"), Ok(7_200_000));
        for wrong in ["", "abc", "5 parsecs", "-5", "99999999999999999999d", "9223372036854775807d"] {
            assert!(parse_ms(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn printing_picks_the_largest_unit() {
        assert_eq!(print_ms(604_800_000), "7d");
        assert_eq!(print_ms(1_500), "1500ms");
        assert_eq!(print_ms(-1), "none");
    }
}
