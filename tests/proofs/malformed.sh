#!/usr/bin/env bash
# A hostile or clumsy client breaks nothing: every malformed input gets its typed error, the broker lives, memory stays flat.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
source "$ROOT/tests/proofs/python/env.sh"
if [ -n "$SKIPPED" ]; then
    echo "skipped: $SKIPPED"
    exit 0
fi
make_stubs
trap 'rm -rf "$STUBS"' EXIT
export WEIR
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$STUBS timeout 300 "$PYTHON" "$ROOT/tests/proofs/python/malformed.py"
