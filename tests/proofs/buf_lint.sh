#!/usr/bin/env bash
# buf's STANDARD rules find nothing in proto/. Takes `buf` from the path, else the npm package of this version.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly BUF_VERSION=1.75.0
tools=${CARGO_TARGET_DIR:-$PWD/target}/buf

skip() { echo "skipped: $1"; exit 0; }

buf=$(command -v buf || true)
if [ -z "$buf" ]; then
    command -v npm >/dev/null || skip 'neither buf nor npm is installed'
    buf=$tools/node_modules/.bin/buf
    [ -x "$buf" ] || timeout 240 npm install --silent --prefix "$tools" "@bufbuild/buf@$BUF_VERSION" >/dev/null 2>&1 ||
        skip "npm can't install @bufbuild/buf@$BUF_VERSION"
fi
[ -x "$buf" ] || skip "$buf is not there"
(cd proto && timeout 120 "$buf" lint)
echo "buf lint: $(find proto -name '*.proto' | wc -l) files, no finding of the STANDARD rules"
