//! `weir serve --check` and `--print-config`: what a start would do, without one.

use serde_json::{Map, Value, json};

use super::refusal;
use crate::broker::StartError;
use crate::broker::data_dir::{DataDirError, Found, inspect, whose};
use crate::broker::rehearsal::{self, Misfit};
use crate::cli::exit::{Exit, Failure};
use crate::cli::global::Global;
use crate::cli::output::{
    Cell, Column, Table, count, folded, print, print_document, print_error, print_warning,
};
use crate::config::BrokerSettings;
use crate::config::load::Source;
use crate::env::RealDisk;

/// Prints every setting with its source.
pub(super) fn print_config(global: &Global, settings: &BrokerSettings) -> Result<(), Failure> {
    let settings = settings.settings();
    if global.json {
        let show = |setting: &crate::config::broker::BrokerSetting| json!({ "key": setting.key, "value": setting.value, "source": setting.source.to_string() });
        let settings: Vec<Value> = settings.iter().map(show).collect();
        return print_document(
            "serve --print-config",
            Map::from_iter([("settings".to_owned(), json!(settings))]),
        );
    }
    let mut table = Table::new(&[Column::Left("KEY"), Column::Left("VALUE"), Column::Left("SOURCE")]);
    for setting in settings {
        let value = Cell::Setting(setting.key.to_owned(), setting.value);
        table.row([Cell::Text(setting.key.to_owned()), value, setting.source.to_string().into()]);
    }
    print(table.print())
}

/// What a start would find: in which state the directory is, and partitions that would be offline.
fn rehearse(settings: &BrokerSettings) -> Result<(Found, Vec<Misfit>), StartError> {
    let (disk, path) = (RealDisk::new(), &settings.data_dir);
    let found = inspect(&disk, path, settings.node_id)?;
    let Some(meta) = whose(&disk, path).ok().flatten() else { return Ok((found, Vec::new())) };
    let image = rehearsal::load_metadata(&disk, path)?;
    Ok((found, rehearsal::misfits(&disk, path, Some(meta.cluster_id), &image)?))
}

/// Tells whether a broker with these settings would start. A running broker on the directory is no mistake: its next
/// start is what is checked.
pub(super) fn check(global: &Global, settings: &BrokerSettings) -> Result<Exit, Failure> {
    let found = rehearse(settings);
    let (state, words, problem) = match &found {
        Ok((Found::New, _)) => ("new", "not there yet; the first start makes it".to_owned(), None),
        Ok((Found::Empty, _)) => ("new", "empty; the first start fills it".to_owned(), None),
        Ok((Found::Ready, _)) => ("ready", format!("ready, of node {}", settings.node_id), None),
        Err(StartError::DataDir(DataDirError::Locked { holder, .. })) => {
            ("in use", format!("in use by {holder}"), None)
        }
        Err(error) => ("ready", String::new(), Some(refusal(error))),
    };
    let misfits = found.map(|(_, misfits)| misfits).unwrap_or_default();
    let warning = |misfit: &Misfit| format!("{}: {}", misfit.path.display(), misfit.what);
    let warnings: Vec<String> = misfits.iter().map(warning).collect();
    if global.json {
        let mut fields = Map::from_iter([
            ("data_dir".to_owned(), json!(settings.data_dir.display().to_string())),
            ("ok".to_owned(), json!(problem.is_none())),
            ("warnings".to_owned(), json!(warnings)),
        ]);
        match &problem {
            Some(problem) => fields.insert("problem".to_owned(), json!(problem)),
            None => fields.insert("state".to_owned(), json!(state)),
        };
        print_document("serve --check", fields)?;
    }
    if let Some(problem) = problem {
        print_error(&problem);
        return Ok(Exit::Usage);
    }
    warnings.iter().for_each(|warning| print_warning(warning));
    if !global.json && !global.quiet {
        let all = settings.settings();
        let set = all.iter().filter(|setting| setting.source != Source::Default).count();
        let folder = settings.data_dir.display();
        let given = format!("settings: ok, {set} of {} given", count(all.len() as i64, "key"));
        print(folded(&given, "") + &folded(&format!("data directory {folder}: {words}"), ""))?;
    }
    Ok(Exit::Done)
}
