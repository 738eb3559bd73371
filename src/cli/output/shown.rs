//! What a terminal would carry out or turn around, made visible. Pure.
//!
//! Control characters (ESC, the C1 ones that begin sequences as well, DEL) move the cursor and write the screen anew; marks of
//! direction make a name look like another. Names, values and messages come from elsewhere: none of it is obeyed.

use std::fmt::Write;

/// Whether a terminal shows this letter as itself: no control character, and no mark that turns the text behind it around.
pub fn is_shown(letter: char) -> bool {
    !letter.is_control() && !matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with every letter that is not shown as `\u{1b}`; line ends and tabs stay.
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\t' => out.push(letter),
            letter if is_shown(letter) => out.push(letter),
            letter => out.extend(letter.escape_unicode()),
        }
    }
    out
}

/// The same in JSON that was written already: such letters stand within its strings only, where `\u009b` is the same letter.
pub fn shown_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            // Between two lines, not within a string.
            '\n' => out.push(letter),
            letter if is_shown(letter) => out.push(letter),
            letter => write!(out, "\\u{:04x}", u32::from(letter)).expect("a string takes all letters"),
        }
    }
    out
}

/// Whether [`shown_json`] has anything to do. Cost: one pass over the bytes.
pub fn is_all_shown(json: &[u8]) -> bool {
    // The first bytes of DEL, of U+0080 to U+00BF, and of U+2000 to U+2FFF; JSON has no other control character in its strings.
    !json.iter().any(|byte| matches!(byte, 0x7f | 0xc2 | 0xe2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: &str = "\x1b[31mX\u{9b}1m\u{7f}\u{202e}\u{2066}";

    #[test]
    fn text_carries_nothing_that_a_terminal_obeys() {
        assert_eq!(
            shown(&format!("topic '{BAD}' é\nnext\t.")),
            "topic '\\u{1b}[31mX\\u{9b}1m\\u{7f}\\u{202e}\\u{2066}' é\nnext\t."
        );
        assert_eq!(shown("a\rb"), "a\\u{d}b", "what stands behind it would cover what stands before");
    }

    #[test]
    fn json_says_the_same_without_the_letters() {
        let written = serde_json::to_string(BAD).expect("text") + "\n";
        assert!(!is_all_shown(written.as_bytes()));
        let safe = shown_json(&written);
        assert_eq!(safe, "\"\\u001b[31mX\\u009b1m\\u007f\\u202e\\u2066\"\n");
        assert_eq!(serde_json::from_str::<String>(&safe).expect("JSON"), BAD);
        assert!(is_all_shown("{\"a\":\"żó\"}".as_bytes()) && shown_json("’") == "’");
    }
}
