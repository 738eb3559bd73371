//! The file that contexts are kept in: JSON in the folder for settings of this user, readable by nobody else.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::closest::did_you_mean;

/// Name of the file below the folder for settings.
const FILE: &str = "weir/contexts.json";
/// Ending of the empty file beside it that whoever changes contexts holds locked.
const LOCK: &str = "lock";

/// One broker under a name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    /// Host and port.
    pub(super) bootstrap: String,
}

/// Every context, and which one is used.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contexts {
    /// The one in use.
    pub(super) current: Option<String>,
    /// The one before.
    pub(super) previous: Option<String>,
    /// All, by name.
    pub(super) contexts: BTreeMap<String, Saved>,
}

impl Contexts {
    /// Makes a context the one in use. Errors: there is none of that name.
    pub(super) fn switch(&mut self, name: &str) -> Result<(), String> {
        self.get(name)?;
        if self.current.as_deref() != Some(name) {
            self.previous = self.current.replace(name.to_owned());
        }
        Ok(())
    }

    /// The context of a name. Errors: the nearest name, and what lists them.
    pub(super) fn get(&self, name: &str) -> Result<&Saved, String> {
        self.contexts.get(name).ok_or_else(|| {
            let hint = did_you_mean(name, self.contexts.keys().map(String::as_str));
            format!("there is no context '{name}'.{hint} `weir context list` lists them")
        })
    }

    /// Forgets a context. Errors: there is none of that name.
    pub(super) fn remove(&mut self, name: &str) -> Result<(), String> {
        self.get(name)?;
        self.contexts.remove(name);
        for place in [&mut self.current, &mut self.previous] {
            if place.as_deref() == Some(name) {
                *place = None;
            }
        }
        Ok(())
    }
}

/// Longest name of a context, in letters.
const NAME_LETTERS_MAX: usize = 64;

/// Whether a context may have this name. Errors: what a name is made of.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let is_good = name.chars().all(fits) && (1..=NAME_LETTERS_MAX).contains(&name.len());
    match is_good && name != "-" {
        true => Ok(()),
        false => Err(format!(
            "'{name}' is no name for a context: use 1 to {NAME_LETTERS_MAX} of the characters a-z A-Z 0-9 . _ -"
        )),
    }
}

/// Where the file is: below `$XDG_CONFIG_HOME`, else `~/.config`. Errors: neither is known.
pub(super) fn path() -> Result<PathBuf, String> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    let folder = folder.ok_or("there is no folder for settings: set XDG_CONFIG_HOME or HOME")?;
    Ok(folder.join(FILE))
}

/// Reads the file; one that is missing holds nothing. Errors: the file by name, and what is wrong with it.
#[allow(clippy::disallowed_methods, reason = "a file of the user's settings, not the broker's disk")]
pub(super) fn read(path: &Path) -> Result<Contexts, String> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            format!("{} is not a file of contexts: {error}; correct it, or remove it", path.display())
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Contexts::default()),
        Err(error) => Err(format!("can't read {}: {error}", path.display())),
    }
}

/// Waits until nobody else changes contexts, and keeps others waiting while the returned value lives: what is read after this can be
/// changed and written without the loss of what another command adds meanwhile.
///
/// Errors: the file by name.
pub(super) fn lock(path: &Path) -> Result<File, String> {
    let beside = path.with_extension(LOCK);
    take(&beside).map_err(|error| format!("can't lock {}: {error}", beside.display()))
}

#[allow(clippy::disallowed_methods, reason = "a file of the user's settings, not the broker's disk")]
fn take(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.lock()?;
    Ok(file)
}

/// Writes the file, whole or not at all. Errors: the file by name.
pub(super) fn write(path: &Path, contexts: &Contexts) -> Result<(), String> {
    replace(path, contexts).map_err(|error| format!("can't write {}: {error}", path.display()))
}

#[allow(clippy::disallowed_methods, reason = "a file of the user's settings, not the broker's disk")]
fn replace(path: &Path, contexts: &Contexts) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(contexts)?;
    text.push('\n');
    let aside = path.with_extension(format!("tmp{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&aside, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn two() -> Contexts {
        let mut contexts = Contexts::default();
        for name in ["local", "prod"] {
            contexts.contexts.insert(name.to_owned(), Saved { bootstrap: format!("{name}:7070") });
        }
        contexts
    }

    #[test]
    fn names_hold_what_can_be_typed_and_shown() {
        for name in ["prod", "a.b-c_1", &"x".repeat(64)] {
            assert_eq!(check_name(name), Ok(()));
        }
        for name in ["", "-", "a b", "\x1b[2J", "ü", &"x".repeat(65)] {
            assert!(check_name(name).expect_err(name).contains("1 to 64"), "{name}");
        }
    }

    #[test]
    fn switching_remembers_the_one_before() {
        let mut contexts = two();
        contexts.switch("local").expect("is there");
        contexts.switch("prod").expect("is there");
        contexts.switch("prod").expect("is there");
        assert_eq!(
            (contexts.current.as_deref(), contexts.previous.as_deref()),
            (Some("prod"), Some("local"))
        );
        let error = contexts.switch("prd").expect_err("none");
        assert!(error.contains("Did you mean 'prod'?") && error.contains("weir context list"), "{error}");
        contexts.remove("local").expect("is there");
        assert_eq!((contexts.previous.clone(), contexts.contexts.len()), (None, 1));
        assert!(contexts.remove("local").is_err());
    }

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn the_file_is_for_its_user_alone_and_comes_back() {
        let folder = tempfile::tempdir().expect("made");
        let path = folder.path().join("weir/contexts.json");
        assert_eq!(read(&path).expect("missing is empty"), Contexts::default());
        let held = lock(&path).expect("locked");
        write(&path, &two()).expect("written");
        drop(held);
        assert_eq!(read(&path).expect("read"), two());
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(folder.path().join("weir")).expect("there").count(),
            2,
            "nothing is left aside but the lock"
        );
        fs::write(&path, "{").expect("written");
        assert!(read(&path).expect_err("damaged").contains("contexts.json is not a file of contexts"));
    }
}
