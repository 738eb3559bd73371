//! The terminal that `weir top` draws on: its other screen, given back whatever ends the drawing.

use std::io::{self, Write};

use crate::cli::exit::Failure;
use crate::cli::output::size_of_terminal;

/// Taken where the terminal does not tell.
const COLUMNS: usize = 80;
const ROWS: usize = 24;

/// Where frames go.
pub(super) enum Screen {
    /// A terminal: each frame in the place of the one before.
    Terminal,
    /// Anything else: one frame after the other.
    Plain,
}

impl Screen {
    /// Takes the other screen of a terminal, so that what was on it is there again at the end.
    pub(super) fn open(is_terminal: bool) -> Result<Self, Failure> {
        if !is_terminal {
            return Ok(Self::Plain);
        }
        write("\x1b[?1049h\x1b[?25l")?;
        Ok(Self::Terminal)
    }

    /// Shows a frame, cut to what fits on a terminal.
    pub(super) fn show(&self, frame: &str) -> Result<(), Failure> {
        match self {
            Self::Plain => write(&format!("{frame}\n")),
            Self::Terminal => write(&redrawn(frame, size_of_terminal().unwrap_or((COLUMNS, ROWS)))),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Self::Terminal = self {
            // A terminal that is gone has nothing to be given back.
            let _ = write("\x1b[?25h\x1b[?1049l");
        }
    }
}

fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| Failure::stdout(&error))
}

/// The frame from the upper left corner on, over what was there: without a flicker, because nothing is wiped before it is drawn.
fn redrawn(frame: &str, (columns, rows): (usize, usize)) -> String {
    let lines: Vec<&str> = frame.lines().collect();
    let shown = if lines.len() > rows { rows.saturating_sub(1) } else { lines.len() };
    let mut text = "\x1b[H".to_owned();
    for (at, line) in lines[..shown].iter().enumerate() {
        let gap = if at > 0 { "\r\n" } else { "" };
        text += gap;
        text.extend(line.chars().take(columns));
        text += "\x1b[K";
    }
    if shown < lines.len() {
        let more: String = format!("... {} more", lines.len() - shown).chars().take(columns).collect();
        text += &format!("\r\n{more}\x1b[K");
    }
    text + "\x1b[J"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_cut_to_the_terminal() {
        assert_eq!(redrawn("ab\ncd\n", (80, 24)), "\x1b[Hab\x1b[K\r\ncd\x1b[K\x1b[J");
        assert_eq!(redrawn("abc\nd\n", (2, 2)), "\x1b[Hab\x1b[K\r\nd\x1b[K\x1b[J");
        assert_eq!(redrawn("a\nb\nc\nd\n", (80, 3)), "\x1b[Ha\x1b[K\r\nb\x1b[K\r\n... 2 more\x1b[K\x1b[J");
        assert_eq!(redrawn("żó\n", (1, 1)), "\x1b[Hż\x1b[K\x1b[J");
    }
}
