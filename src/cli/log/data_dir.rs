//! A data directory as a whole: whether a broker starts on it, and whether every partition that its metadata names is there.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::path::failed;
use crate::base::ClusterId;
use crate::broker::StartError;
use crate::broker::data_dir::{DataDirError, META_FILE, whose};
use crate::broker::rehearsal::{Misfit, load_metadata, misfits};
use crate::cli::exit::Failure;
use crate::env::Disk;
use crate::log::verify::{Finding, Severity};

/// What is wrong beside what the folders of the partitions tell.
///
/// Errors: the disk refuses a look.
pub(super) fn findings(disk: &dyn Disk, path: &Path) -> Result<Vec<Finding>, Failure> {
    let (cluster, mut found) = match whose(disk, path) {
        Ok(Some(meta)) => (Some(meta.cluster_id), Vec::new()),
        // A first start that was cut short: nothing was written yet, and the next one begins again.
        Ok(None) => return Ok(Vec::new()),
        Err(DataDirError::Disk(error)) => return Err(failed(error)),
        Err(error @ DataDirError::NoMetadataLog { .. }) => return Ok(vec![refused(path, &error)]),
        Err(error) => (None, vec![refused(path, &error)]),
    };
    match lasting_misfits(disk, path, cluster) {
        Ok(misfits) => found.extend(misfits.into_iter().map(|misfit| damaged(misfit.path, misfit.what))),
        Err(StartError::Disk(error)) => return Err(failed(error)),
        Err(error) => found.push(damaged(path.to_owned(), format!("no broker starts here: {error}"))),
    }
    Ok(found)
}

/// Folders that are not as the metadata says. WHY two looks: a broker that runs may delete a topic during the first.
fn lasting_misfits(
    disk: &dyn Disk,
    path: &Path,
    cluster: Option<ClusterId>,
) -> Result<Vec<Misfit>, StartError> {
    let look = || Ok::<_, StartError>(misfits(disk, path, cluster, &*load_metadata(disk, path)?)?);
    let first: HashSet<PathBuf> = look()?.into_iter().map(|misfit| misfit.path).collect();
    if first.is_empty() {
        return Ok(Vec::new());
    }
    Ok(look()?.into_iter().filter(|misfit| first.contains(&misfit.path)).collect())
}

fn refused(path: &Path, error: &DataDirError) -> Finding {
    match error {
        DataDirError::NoMetadataLog { path, .. } => damaged(path.clone(), error.to_string()),
        DataDirError::NoMeta { path } => damaged(
            path.clone(),
            "it is missing; no broker starts here until it is put back from a copy".to_owned(),
        ),
        _ => damaged(path.join(META_FILE), error.to_string()),
    }
}

fn damaged(path: PathBuf, what: String) -> Finding {
    Finding { path, severity: Severity::Damaged, bytes: None, offsets: None, what }
}
