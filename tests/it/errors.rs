//! `docs/reference/errors.md` says what the table of error kinds says. `WEIR_BLESS=1` writes it anew.

use weir::base::error::{KINDS, KindRow, Outcome, Retry};
use weir::cli::exit::Exit;

use crate::pages;

const HEAD: &str = "\
# Errors

Made from the table in `src/base/error.rs` by `WEIR_BLESS=1 cargo test --test it errors`; a test compares them. Change the table, not
this page.

Every refused or failed request has one of these reasons, the same word in every protocol, in messages of the command line
(`[TOPIC_NOT_FOUND]`) and in `ErrorReason` of `proto/weir/v1/errors.proto`. A failed call carries it in exactly one
`google.rpc.ErrorInfo` (domain `weir`), whose metadata holds the facts (`topic`, `partition`, `offset`, `start`, `end`, `limit`, …); an
item that failed within a call that succeeded carries an `ItemError` with the same fields.

**retry**: `later`, the same request may succeed a little later (the bundled client does that by itself, until its delivery timeout);
`never`, it will fail the same way. **records**: what is known of the records of a produce, where the answer says nothing narrower; see
[Guarantees](../GUARANTEES.md). **exit**: code of the command line. **Kafka**: code that Kafka's protocol has for it.

";

fn row(row: &KindRow) -> String {
    let KindRow { kind, reason, what, grpc, http, kafka, retry, outcome, advice } = row;
    let retry = match retry {
        Retry::Never => "never",
        Retry::Later => "later",
    };
    let outcome = match outcome {
        Outcome::Written => "written",
        Outcome::NotWritten => "not written",
        Outcome::Unknown => "unknown",
    };
    let (what, exit) = (what.trim(), Exit::of(*kind) as u8);
    format!("| `{reason}` | {what} | {advice} | {retry} | {outcome} | {grpc} | {http} | {kafka} | {exit} |\n")
}

fn page() -> String {
    let titles = "| reason | what happened | what to do | retry | records | gRPC | HTTP | Kafka | exit |\n";
    let rows: String = KINDS.iter().map(row).collect();
    format!("{HEAD}{titles}|---|---|---|---|---|---:|---:|---:|---:|\n{rows}")
}

#[test]
fn the_errors_page_is_true() {
    pages::assert_is("docs/reference/errors.md", &page(), "src/base/error.rs");
}
