//! `docs/first-minute.svg` shows what these commands print today, but for times. `WEIR_BLESS=1` draws it anew.
#![allow(clippy::disallowed_methods)]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::process::free_port;
use crate::served::{ROOT, WEIR, command};
use crate::transcripts::{script, without_times};

const PICTURE: &str = "docs/first-minute.svg";

/// The first minute, as somebody would type it.
const COMMANDS: &[&str] = &[
    "weir serve --dev &",
    "weir topic create orders -p 3 -c retention.ms=7d",
    r#"printf 'u1:{"n":1}\nu2:{"n":2}\n' | weir produce orders -K: --report '%t[%p]@%o\n'"#,
    "weir produce orders -J -F data/activity.ndjson",
    r"weir consume orders -o -1 -p 0 -e -f '%t[%p]@%o %d{strftime[%F %T]} %k=%v\n'",
    "weir topic describe orders --section partitions",
    "kill -9 $!",
    "weir serve --dev &",
    "weir consume orders -o start -e -q | wc -l",
    "weir topic delete ordres",
];

/// What a person does by being slow, after some of the commands: waits until the broker has said that it is ready, for 20 s at
/// most; waits until the killed one is gone, and with it its hold on port and folder.
const PAUSES: &[(&str, &str)] = &[
    (
        "weir serve --dev &",
        "starts=$((starts+1)); n=0; \
         until [ $(grep -c '^ready in' said) = $starts ] || [ $n = 200 ]; do n=$((n+1)); sleep 0.1; done",
    ),
    ("kill -9 $!", "wait $! 2>/dev/null"),
];

/// Width of a letter and distance of lines, in units of the picture.
const LETTER: f64 = 8.43;
const LINE: usize = 20;
const MARGIN: usize = 20;
/// Letters that the times of a line take, so that the width is the same each time.
const TIMES: usize = 3;
/// Height of the bar above the text.
const BAR: usize = 36;

/// What the commands print, with the port that people would see.
fn session() -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(Path::new(ROOT).join("data"), folder.path().join("data")).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let lines: Vec<String> = COMMANDS.iter().map(|command| format!("$ {command}")).collect();
    let mut typed = String::new();
    for line in script(&lines).lines() {
        writeln!(typed, "{line}").unwrap();
        let pause = PAUSES.iter().find(|(after, _)| *after == line);
        typed.extend(pause.map(|(_, pause)| format!("{pause}\n")));
    }
    typed.push_str("exec >/dev/null 2>&1\nkill -9 $!\n");
    let folder_of_weir = Path::new(WEIR).parent().unwrap().display();
    let said = folder.path().join("said");
    let terminal = fs::OpenOptions::new().create(true).append(true).open(&said).unwrap();
    let status = command("sh", folder.path())
        .args(["-c", &typed])
        .envs([("WEIR_BOOTSTRAP", &address), ("WEIR_LISTEN", &address)])
        .env("PATH", format!("{folder_of_weir}:{}", std::env::var("PATH").unwrap()))
        .stdout(terminal)
        .status()
        .unwrap();
    assert!(status.code().is_some(), "{status}");
    let text = fs::read_to_string(&said).unwrap().replace(&address, "127.0.0.1:7070");
    text.lines().map(str::to_owned).collect()
}

/// A line of the terminal: the prompt green, what is typed bright, an error red.
fn drawn(line: &str, y: usize) -> String {
    let text = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let text = match text.strip_prefix("$ ").map(str::to_owned) {
        Some(typed) => format!(r#"<tspan class="prompt">$ </tspan><tspan class="typed">{typed}</tspan>"#),
        None => match text.strip_prefix("error:") {
            Some(said) => format!(r#"<tspan class="error">error:</tspan>{said}"#),
            None => text,
        },
    };
    format!(r#"<text x="{MARGIN}" y="{y}" xml:space="preserve">{text}</text>"#)
}

fn picture(lines: &[String]) -> String {
    let longest = lines.iter().map(|line| steady(line).chars().count()).max().unwrap_or(0);
    let width = ((longest + TIMES) as f64 * LETTER).ceil() as usize + 2 * MARGIN;
    let height = BAR + lines.len() * LINE + MARGIN;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="The first minute in a terminal">
<style>
text {{ font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #c5c8c6 }}
.prompt {{ fill: #98c379 }} .typed {{ fill: #ffffff; font-weight: bold }} .error {{ fill: #e06c75; font-weight: bold }}
</style>
<rect width="{width}" height="{height}" rx="8" fill="#1d1f21"/>
<circle cx="22" cy="18" r="6" fill="#ff5f57"/><circle cx="42" cy="18" r="6" fill="#febc2e"/><circle cx="62" cy="18" r="6" fill="#28c840"/>
"##
    );
    for (index, line) in lines.iter().enumerate() {
        writeln!(svg, "{}", drawn(line, BAR + (index + 1) * LINE)).unwrap();
    }
    svg + "</svg>\n"
}

/// The line without what differs from run to run: times, and sizes, which tell how records came together in batches.
fn steady(line: &str) -> String {
    let is_number = |letter: char| letter.is_ascii_digit() || letter == '.';
    let parts: Vec<&str> = line.split(" KiB").collect();
    let (last, sizes) = parts.split_last().expect("a split has a part");
    let plain: String =
        sizes.iter().map(|part| format!("{} KiB", part.trim_end_matches(is_number))).collect();
    without_times(&(plain + last))
}

#[test]
fn the_picture_of_the_first_minute_is_what_the_commands_print() {
    let path = Path::new(ROOT).join(PICTURE);
    let drawn = picture(&session());
    let shown = fs::read_to_string(&path).unwrap_or_default();
    let same = |a: &str, b: &str| a.lines().map(steady).eq(b.lines().map(steady));
    if std::env::var_os("WEIR_BLESS").is_some() && !same(&shown, &drawn) {
        fs::write(&path, &drawn).unwrap();
        return;
    }
    assert!(
        same(&shown, &drawn),
        "{PICTURE} shows something else; run with WEIR_BLESS=1 to draw it anew:\n{drawn}"
    );
}
