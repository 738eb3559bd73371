//! The pages of the package and their code blocks.

use std::fs;
use std::path::{Path, PathBuf};

use crate::served::ROOT;

/// One code block of a page.
pub(crate) struct Block {
    /// The page's path from the root of the package.
    pub(crate) page: String,
    /// Page and line.
    pub(crate) place: String,
    /// Its lines.
    pub(crate) lines: Vec<String>,
}

/// The blocks of all pages that are marked with this word, by page.
pub(crate) fn blocks(word: &str) -> Vec<Block> {
    let mut all = Vec::new();
    for path in pages() {
        let page = path.strip_prefix(ROOT).unwrap().display().to_string();
        all.extend(blocks_of(&page, &fs::read_to_string(&path).unwrap(), word));
    }
    all
}

/// README.md, those beside samples and proto files, and all below `docs`.
fn pages() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["README.md", "data/README.md", "proto/README.md"]
        .iter()
        .map(|name| Path::new(ROOT).join(name))
        .collect();
    let mut folders = vec![Path::new(ROOT).join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn blocks_of(page: &str, text: &str, word: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut is_inside, mut is_wanted) = (false, false);
    for (index, line) in text.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if is_inside => is_inside = false,
            Some(mark) => {
                (is_inside, is_wanted) = (true, mark == word);
                if is_wanted {
                    let place = format!("{page}:{}", index + 1);
                    blocks.push(Block { page: page.to_owned(), place, lines: Vec::new() });
                }
            }
            None if is_inside && is_wanted => {
                blocks.last_mut().expect("the mark made one").lines.push(line.to_owned());
            }
            None => {}
        }
    }
    blocks
}

#[test]
fn blocks_are_found_by_their_mark() {
    let text = "a\n```sh\nls\n```\n```console\n$ ls\n\n```\n```\n```console\n";
    let found = blocks_of("x.md", text, "console");
    assert_eq!(found.len(), 1, "the last mark closes the block before it");
    assert_eq!(
        (found[0].place.as_str(), &found[0].lines[..]),
        ("x.md:5", &["$ ls".to_owned(), String::new()][..])
    );
}
