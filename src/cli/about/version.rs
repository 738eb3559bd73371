//! `weir version`.

use serde_json::{Map, json};

use crate::cli::exit::{Exit, Failure};
use crate::cli::global::Global;
use crate::cli::output::{print, print_document};

/// Package of the gRPC services.
const API: &str = "weir.v1";

/// Prints the version of this program and of the API that it speaks.
pub(in crate::cli) fn run(global: &Global) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if global.json {
        return run_as_document();
    }
    print(format!("weir {version}  api {API}\n"))?;
    Ok(Exit::Done)
}

/// The same as a document.
pub(in crate::cli) fn run_as_document() -> Result<Exit, Failure> {
    let fields = [("weir".to_owned(), json!(env!("CARGO_PKG_VERSION"))), ("api".to_owned(), json!(API))];
    print_document("version", Map::from_iter(fields))?;
    Ok(Exit::Done)
}
