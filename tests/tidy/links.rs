//! Every link between pages leads somewhere: to a file or folder that is there, and to a heading of it.

use std::path::{Path, PathBuf};

use crate::assert_none;
use crate::source::{relative, root, walk};

/// Folders that hold no pages of ours.
const LEFT_OUT: &[&str] = &["target", ".git"];

/// Every page of the package.
fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let enters = |folder: &Path| !LEFT_OUT.iter().any(|name| folder.ends_with(name));
    walk(&root(), &enters, &mut found);
    found.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    found
}

/// The lines outside of code blocks, with their numbers from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        (!is_code && !is_fence).then_some((index + 1, line))
    })
}

/// What the links of a line lead to.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// What GitHub makes of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

fn has_anchor(text: &str, wanted: &str) -> bool {
    let headings = prose(text).filter(|(_, line)| line.starts_with('#'));
    headings.into_iter().any(|(_, line)| anchor(line.trim_start_matches('#')) == wanted)
}

/// What is wrong with a link of the page at `page` whose text is `text`.
fn broken(page: &Path, text: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let file = page.parent().map(|folder| folder.join(path)).filter(|_| !path.is_empty());
    if file.as_ref().is_some_and(|file| !file.exists()) {
        return Some(format!("{target} is not there"));
    }
    if heading.is_empty() {
        return None;
    }
    let text = file.map_or_else(|| text.to_owned(), |file| std::fs::read_to_string(file).unwrap_or_default());
    (!has_anchor(&text, heading)).then(|| format!("{target}: there is no such heading"))
}

#[test]
fn every_link_leads_somewhere() {
    let mut findings = Vec::new();
    let mut count = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("a page is text");
        for (number, target) in
            prose(&text).flat_map(|(number, line)| targets(line).map(move |target| (number, target)))
        {
            count += 1;
            let wrong = broken(&page, &text, target);
            findings.extend(wrong.map(|wrong| format!("{}:{number}: {wrong}", relative(&page))));
        }
    }
    assert_none(&findings);
    assert!(count > 50, "the links are found");
}

#[test]
fn a_link_to_nowhere_is_found() {
    let page = root().join("docs/TESTING.md");
    let text = "# Every crash\n\n```\n# Not this\n```\n";
    for good in ["GUARANTEES.md", "../README.md#two-commands", "decisions", "#every-crash", "https://x.org/y"]
    {
        assert_eq!(broken(&page, text, good), None, "{good}");
    }
    for bad in ["guarantees.md", "../README.md#three-commands", "decision", "#not-this"] {
        assert!(broken(&page, text, bad).is_some(), "{bad}");
    }
    assert_eq!(targets("a [b](c.md), [d](e#f) `g` (h)").collect::<Vec<_>>(), ["c.md", "e#f"]);
    assert_eq!(anchor(" From Python, with nothing of ours"), "from-python-with-nothing-of-ours");
    assert_eq!(anchor("What `acks` changes"), "what-acks-changes");
}
