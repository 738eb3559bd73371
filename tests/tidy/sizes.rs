//! How large files, functions and folders may be.

use std::collections::BTreeMap;

use crate::functions::functions;
use crate::source::Source;
use crate::{all_sources, assert_none};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const PARAMETERS_MAX: usize = 5;
const FOLDER_FILES_MAX: usize = 18;
const FOLDER_DEPTH_MAX: usize = 3;

/// Files that may be longer than the limit, and why: only tables and generated code.
const LONG_FILES: &[(&str, &str)] = &[];

/// Lines that are not tests.
fn product_lines(source: &Source) -> usize {
    // WHY: test modules stand at the bottom, so what is left ends at the last line of code or its comments.
    source.product_code().trim_end().lines().count()
}

fn file_findings(source: &Source, long_files: &[(&str, &str)]) -> Vec<String> {
    let lines = product_lines(source);
    let listed = long_files.iter().any(|(path, _)| *path == source.path);
    match (lines > FILE_LINES_MAX, listed) {
        (true, false) => {
            vec![format!("{}: {lines} lines without tests, at most {FILE_LINES_MAX}", source.path)]
        }
        (false, true) => vec![format!("{}: is short enough now, take it off the list", source.path)],
        _ => Vec::new(),
    }
}

fn function_findings(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for function in functions(&source.product_code()) {
        let place = format!("{}:{}: {}", source.path, function.line, function.name);
        if function.lines > FUNCTION_LINES_MAX {
            findings.push(format!("{place} has {} lines, at most {FUNCTION_LINES_MAX}", function.lines));
        }
        if function.parameters > PARAMETERS_MAX {
            findings
                .push(format!("{place} has {} parameters, at most {PARAMETERS_MAX}", function.parameters));
        }
    }
    findings
}

fn folder_findings(paths: &[&str]) -> Vec<String> {
    let mut folders: BTreeMap<&str, usize> = BTreeMap::new();
    for (folder, name) in paths.iter().filter_map(|path| path.rsplit_once('/')) {
        *folders.entry(folder).or_default() += usize::from(name != "mod.rs");
    }
    let mut findings = Vec::new();
    for (folder, files) in folders {
        let depth = folder.matches('/').count();
        if files > FOLDER_FILES_MAX {
            findings.push(format!("{folder}: {files} files, at most {FOLDER_FILES_MAX}"));
        }
        if depth > FOLDER_DEPTH_MAX {
            findings.push(format!("{folder}: {depth} folders deep, at most {FOLDER_DEPTH_MAX}"));
        }
    }
    findings
}

#[test]
fn files_are_short() {
    let sources = all_sources();
    let product = sources.iter().filter(|source| !source.is_test());
    assert_none(&product.flat_map(|source| file_findings(source, LONG_FILES)).collect::<Vec<_>>());
    for (path, _) in LONG_FILES {
        assert!(
            sources.iter().any(|source| source.path == *path),
            "{path} is on the list and does not exist"
        );
    }
}

#[test]
fn functions_are_short_and_take_few_parameters() {
    let sources = all_sources();
    let product = sources.iter().filter(|source| !source.is_test());
    assert_none(&product.flat_map(function_findings).collect::<Vec<_>>());
}

#[test]
fn folders_are_small_and_flat() {
    let sources = all_sources();
    assert_none(&folder_findings(&sources.iter().map(|source| source.path.as_str()).collect::<Vec<_>>()));
}

#[test]
fn a_long_file_is_found() {
    let long = |lines| Source::new("src/x.rs", &"fn a() {}\n".repeat(lines));
    assert_eq!(file_findings(&long(601), &[]).len(), 1);
    assert_none(&file_findings(&long(600), &[]));
    assert_none(&file_findings(&long(601), &[("src/x.rs", "a table")]));
    assert_eq!(file_findings(&long(600), &[("src/x.rs", "a table")]).len(), 1);
    let tests = format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn a() {}\n".repeat(700));
    assert_none(&file_findings(&Source::new("src/x.rs", &tests), &[]));
}

#[test]
fn a_long_function_and_a_long_parameter_list_are_found() {
    let long = |lines: usize| format!("fn a() {{\n{}}}\n", "    x();\n".repeat(lines - 2));
    assert_eq!(function_findings(&Source::new("src/x.rs", &long(71))).len(), 1);
    assert_none(&function_findings(&Source::new("src/x.rs", &long(70))));
    let six = "fn a(&self, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {}\n";
    assert_eq!(function_findings(&Source::new("src/x.rs", six)).len(), 1);
    assert_none(&function_findings(&Source::new("src/x.rs", &six.replace(", f: u8", ""))));
}

#[test]
fn a_crowded_or_deep_folder_is_found() {
    let names: Vec<String> = (0..19).map(|index| format!("src/a/{index}.rs")).collect();
    let mut paths: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(folder_findings(&paths).len(), 1);
    paths[0] = "src/a/mod.rs";
    assert_none(&folder_findings(&paths));
    assert_eq!(folder_findings(&["src/a/b/c/d/e.rs"]).len(), 1);
    assert_none(&folder_findings(&["src/a/b/c/e.rs"]));
}
