//! Binary numbers in keys and values, as `%v{unpack[>iq$]}` prints them: a letter for each field, a space between two. Pure.
//!
//! ```text
//! <  the fields behind it are little-endian     >  they are big-endian (so it begins)
//! b B  signed, unsigned byte     h H  16 bits    i I  32 bits     q Q  64 bits
//! c .  one byte as a character   x    skips a byte                s    the rest as text     $  nothing may be left
//! ```
//! The letters are those of kcat's `-s` and rpk's `unpack`.

use std::io::Write as _;

use super::{Target, write_bytes};
use crate::cli::output::count;

/// The letters, as an error lists them.
const KNOWN: &str = "< > b B h H i I q Q c . x s $";

/// Fields to take from bytes, one after the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Unpack(Vec<Field>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    Number { letter: char, bytes: usize, is_signed: bool, is_little: bool },
    Character,
    Skip,
    Rest,
    End,
}

impl Unpack {
    /// Reads the letters. Errors: the one that is unknown, or stands where nothing can follow.
    pub(super) fn parse(letters: &str) -> Result<Self, String> {
        let mut fields = Vec::new();
        let mut is_little = false;
        for letter in letters.chars() {
            if fields.contains(&Field::End) || (fields.contains(&Field::Rest) && letter != '$') {
                return Err(format!("nothing can be unpacked at '{letter}': s and $ stand at the end"));
            }
            let number =
                |bytes| Field::Number { letter, bytes, is_signed: letter.is_ascii_lowercase(), is_little };
            fields.push(match letter {
                '<' | '>' => {
                    is_little = letter == '<';
                    continue;
                }
                'b' | 'B' => number(1),
                'h' | 'H' => number(2),
                'i' | 'I' => number(4),
                'q' | 'Q' => number(8),
                'c' | '.' => Field::Character,
                'x' => Field::Skip,
                's' => Field::Rest,
                '$' => Field::End,
                _ => return Err(format!("unknown letter '{letter}' in unpack[]; known: {KNOWN}")),
            });
        }
        if fields.is_empty() {
            Err(format!("unpack[] names no field; known: {KNOWN}"))
        } else {
            Ok(Self(fields))
        }
    }

    /// Appends the fields of `bytes`; where they do not fit, why, in brackets.
    pub(super) fn write(&self, bytes: &[u8], target: Target, out: &mut Vec<u8>) {
        let (mut rest, begun) = (bytes, out.len());
        for field in &self.0 {
            if !matches!(field, Field::Skip | Field::End) && out.len() > begun {
                out.push(b' ');
            }
            match field.write(rest, target, out) {
                Ok(behind) => rest = behind,
                Err(why) => {
                    if out.len() > begun && out.last() != Some(&b' ') {
                        out.push(b' ');
                    }
                    write!(out, "({why})").expect("a vector takes all bytes");
                    return;
                }
            }
        }
    }
}

impl Field {
    /// Appends the field that `bytes` begin with, and gives the bytes behind it.
    fn write<'a>(self, bytes: &'a [u8], target: Target, out: &mut Vec<u8>) -> Result<&'a [u8], String> {
        let take = |wanted: usize, letter: char| {
            let short = || format!("{} left for {letter}", count(bytes.len() as i64, "byte"));
            bytes.split_at_checked(wanted).ok_or_else(short)
        };
        match self {
            Self::Number { letter, bytes: wanted, is_signed, is_little } => {
                let (field, behind) = take(wanted, letter)?;
                write!(out, "{}", number(field, is_signed, is_little)).expect("a vector takes all bytes");
                Ok(behind)
            }
            Self::Character => {
                let (field, behind) = take(1, 'c')?;
                write_bytes(field, target, out);
                Ok(behind)
            }
            Self::Skip => take(1, 'x').map(|(_, behind)| behind),
            Self::Rest => {
                write_bytes(bytes, target, out);
                Ok(&[])
            }
            Self::End if bytes.is_empty() => Ok(bytes),
            Self::End => Err(format!("{} left", count(bytes.len() as i64, "byte"))),
        }
    }
}

/// The number that up to 8 bytes hold.
fn number(field: &[u8], is_signed: bool, is_little: bool) -> i128 {
    let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let value = if is_little { field.iter().rev().fold(0, fold) } else { field.iter().fold(0, fold) };
    let unused_bits = 64 - 8 * field.len() as u32;
    match is_signed {
        true => i128::from((value << unused_bits) as i64 >> unused_bits),
        false => i128::from(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(letters: &str, bytes: &[u8]) -> String {
        let mut out = Vec::new();
        Unpack::parse(letters).expect(letters).write(bytes, Target::Pipe, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn every_letter() {
        let ones = [0xff; 8];
        for (letters, bytes, text) in [
            (">i", &[0, 0, 0, 42][..], "42"),
            ("<i", &[42, 0, 0, 0], "42"),
            ("i", &[0, 0, 1, 0], "256"),
            ("b", &[0x80], "-128"),
            ("B", &[0x80], "128"),
            ("h", &[0xff, 0xfe], "-2"),
            ("H", &[0xff, 0xfe], "65534"),
            ("I", &ones[..4], "4294967295"),
            ("q", &ones, "-1"),
            ("Q", &ones, "18446744073709551615"),
            ("<hH>h", &[1, 0, 2, 0, 0, 3], "1 2 3"),
            ("cx.s", b"ab cd", "a   cd"),
            ("bs", b"\x01text", "1 text"),
            ("i$", &[0, 0, 0, 1], "1"),
            ("s$", b"", ""),
        ] {
            assert_eq!(shown(letters, bytes), text, "{letters} of {bytes:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_in_brackets() {
        assert_eq!(shown("hq", &[0, 1, 0, 0]), "1 (2 bytes left for q)");
        assert_eq!(shown("h$", &[0, 1, 9]), "1 (1 byte left)");
        assert_eq!(shown("x", &[]), "(0 bytes left for x)");
    }

    #[test]
    fn wrong_letters_are_named() {
        for (letters, words) in
            [("", "names no field"), ("<", "names no field"), ("iz", "'z'"), ("si", "'i'"), ("$b", "'b'")]
        {
            let error = Unpack::parse(letters).expect_err(letters);
            assert!(error.contains(words), "{letters}: {error}");
        }
    }
}
