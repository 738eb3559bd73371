//! Pages of `docs/` that are made from tables of the code.

use std::path::Path;

/// Holds a page against what `source` makes of it; with `WEIR_BLESS=1` it is written anew first.
pub(crate) fn assert_is(path: &str, page: &str, source: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::write(&file, page).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == page, "{path} differs from {source}; run with WEIR_BLESS=1 to write it anew");
}
