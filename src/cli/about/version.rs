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
        let fields = [("weir".to_owned(), json!(version)), ("api".to_owned(), json!(API))];
        print_document("version", Map::from_iter(fields))?;
    } else {
        print(format!("weir {version}  api {API}\n"))?;
    }
    Ok(Exit::Done)
}
