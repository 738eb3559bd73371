//! Source files with comments and literals blanked out, so that rules look at code alone.

use std::path::{Path, PathBuf};

/// One Rust file.
pub(crate) struct Source {
    /// Path from the root of the package, with `/`.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
    /// The text with every letter of comments, strings and characters replaced by a blank; lines stay where they are.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), code: blank(text) }
    }

    /// Whether the file is made of tests: `tests.rs`, `*_tests.rs`, or anything in a folder `tests`.
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.contains("/tests/")
    }

    /// The code without `#[cfg(test)] mod … { … }` at the left margin; those lines are empty.
    pub(crate) fn product_code(&self) -> String {
        let mut kept: Vec<&str> = Vec::new();
        let mut lines = self.code.lines().peekable();
        while let Some(line) = lines.next() {
            let opens = |line: &&str| line.contains("mod ") && line.ends_with('{');
            if line.trim_end() == "#[cfg(test)]" && lines.peek().is_some_and(opens) {
                kept.push("");
                for inner in lines.by_ref() {
                    kept.push("");
                    if inner.starts_with('}') {
                        break;
                    }
                }
            } else {
                kept.push(line);
            }
        }
        kept.join("\n")
    }
}

/// The folder of Cargo.toml.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every `.rs` file under a folder of the package, sorted by path.
pub(crate) fn read_all(folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    walk(&root().join(folder), &|_| true, &mut paths);
    let rust = paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a source file is text");
        Source::new(&relative(&path), &text)
    };
    rust.map(read).collect()
}

/// The path from the root of the package, with `/`.
pub(crate) fn relative(path: &Path) -> String {
    let path = path.strip_prefix(root()).expect("only files of the package are read");
    path.to_str().expect("names are text").replace('\\', "/")
}

/// Every file under a folder, sorted; folders for which `enter` is false are left out.
pub(crate) fn walk(folder: &Path, enter: &dyn Fn(&Path) -> bool, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder is readable").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            if enter(&path) {
                walk(&path, enter, found);
            }
        } else {
            found.push(path);
        }
    }
}

/// Replaces comments and literals by blanks of the same number of letters.
fn blank(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < letters.len() {
        match skipped(&letters, at) {
            0 => {
                code.push(letters[at]);
                at += 1;
            }
            length => {
                let end = (at + length).min(letters.len());
                code.extend(letters[at..end].iter().map(|letter| if *letter == '\n' { '\n' } else { ' ' }));
                at = end;
            }
        }
    }
    code
}

/// Letters of the comment or literal that begins at `at`; 0 when code stands there.
fn skipped(letters: &[char], at: usize) -> usize {
    let rest = &letters[at..];
    let begins =
        |start: &str| start.chars().enumerate().all(|(index, letter)| rest.get(index) == Some(&letter));
    let after_word = at > 0 && (letters[at - 1].is_alphanumeric() || letters[at - 1] == '_');
    if begins("//") {
        return rest.iter().position(|letter| *letter == '\n').unwrap_or(rest.len());
    }
    if begins("/*") {
        return block_comment(rest);
    }
    if !after_word && (begins("r\"") || begins("r#\"") || begins("r##\"")) {
        return raw_string(rest, 1);
    }
    if !after_word && (begins("br\"") || begins("br#\"")) {
        return raw_string(rest, 2);
    }
    match rest[0] {
        '"' => quoted(rest, '"'),
        // WHY: a lifetime has no closing quote one letter on; an escaped character begins with a backslash.
        '\'' if rest.get(1) == Some(&'\\') || rest.get(2) == Some(&'\'') => quoted(rest, '\''),
        _ => 0,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0;
    for at in 0..rest.len().saturating_sub(1) {
        match (rest[at], rest[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return at + 2;
        }
    }
    rest.len()
}

fn raw_string(rest: &[char], prefix: usize) -> usize {
    let hashes = rest[prefix..].iter().take_while(|letter| **letter == '#').count();
    let open = prefix + hashes + 1;
    let closes = |at: &usize| {
        rest[*at] == '"' && rest[at + 1..].iter().take(hashes).filter(|l| **l == '#').count() == hashes
    };
    (open..rest.len()).find(closes).map_or(rest.len(), |at| at + 1 + hashes)
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

#[test]
fn comments_and_literals_are_blank_and_code_stays() {
    let text = "let a = \"crate::x\"; // crate::y\n/* a /* b */ crate::z */ fn f<'a>(c: char) { r#\"\"} \"#; '\"'; '\\''; b }";
    let code = blank(text);
    assert_eq!(code.chars().count(), text.chars().count());
    assert!(!code.contains("crate") && !code.contains('"'), "{code}");
    assert!(code.contains("fn f<'a>(c: char) {") && code.ends_with("; b }"), "{code}");
    assert_eq!(code.lines().count(), 2);
}

#[test]
fn test_modules_are_not_product_code() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod tests;\nfn d() {}\n";
    let code = Source::new("src/x.rs", text).product_code();
    assert!(
        code.contains("fn a") && code.contains("fn c") && code.contains("fn d") && !code.contains("fn b"),
        "{code}"
    );
    assert_eq!(code.lines().count(), text.lines().count());
}
