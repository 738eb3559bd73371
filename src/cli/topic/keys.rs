//! `weir topic config-keys`: the catalogue of topic settings.

use serde_json::{Map, Value, json};

use super::args::ConfigKeysArgs;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Cell, Column, Form, Table, config_value, folded, form, print, print_document};
use crate::client::{Admin, ConfigKey};

/// Prints the keys that a topic may set, as the broker tells them.
pub(super) async fn run(context: &Context, admin: &Admin, args: &ConfigKeysArgs) -> Result<Exit, Failure> {
    let mut keys = admin.config_keys().await?;
    if let Some(glob) = &args.glob {
        keys.retain(|key| fits(glob, &key.key));
        if keys.is_empty() {
            let wider =
                if glob.contains(['*', '?']) { String::new() } else { format!("try '*{glob}*', or ") };
            return Err(Failure::failed(format!(
                "no config key matches '{glob}'; {wider}all of them: weir topic config-keys"
            )));
        }
    }
    if context.global.json {
        let keys: Vec<Value> = keys.iter().map(key_json).collect();
        print_document("topic config-keys", Map::from_iter([("keys".to_owned(), json!(keys))]))?;
    } else {
        let is_for_people = matches!(form(), Form::Table | Form::Wide);
        print(match &keys[..] {
            [one] if is_for_people => in_full(one),
            all => table(all).print(),
        })?;
    }
    Ok(Exit::Done)
}

fn table(keys: &[ConfigKey]) -> Table {
    let columns = ["KEY", "TYPE", "DEFAULT", "VALUES"];
    let mut table = Table::new(&columns.map(Column::Left));
    for key in keys {
        let default = Cell::Setting(key.key.clone(), key.default_value.clone());
        let (name, kind) = (Cell::Text(key.key.clone()), Cell::Text(key.value_type.clone()));
        table.row([name, kind, default, key.range.clone().into()]);
    }
    table
}

/// One key with what it does.
fn in_full(key: &ConfigKey) -> String {
    let default = config_value(&key.key, &key.default_value);
    let lines = [key.doc.clone(), format!("default: {default}"), format!("values:  {}", key.range)];
    let lines: String = lines.iter().map(|line| folded(line, "  ")).collect();
    format!("{}  {}\n{lines}", key.key, key.value_type)
}

fn key_json(key: &ConfigKey) -> Value {
    json!({
        "key": key.key,
        "type": key.value_type,
        "default": key.default_value,
        "values": key.range,
        "doc": key.doc,
    })
}

/// Whether a name fits a glob: `*` stands for any letters, `?` for one.
fn fits(glob: &str, name: &str) -> bool {
    let mut letters = glob.chars();
    match letters.next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = letters.as_str();
            name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| fits(rest, &name[at..]))
        }
        Some(letter) => {
            let mut others = name.chars();
            let same = others.next().is_some_and(|other| letter == '?' || letter == other);
            same && fits(letters.as_str(), others.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, name, expected) in [
            ("retention.*", "retention.ms", true),
            ("*.ms", "retention.ms", true),
            ("*", "", true),
            ("retention.?s", "retention.ms", true),
            ("retention", "retention.ms", false),
            ("*.bytes", "retention.ms", false),
            ("?", "", false),
            ("a*b*c", "a--b--c", true),
        ] {
            assert_eq!(fits(glob, name), expected, "{glob} {name}");
        }
    }
}
