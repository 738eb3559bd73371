#!/usr/bin/env bash
# Clients that send halves of messages, ask for much and read nothing, and send bombs, all at once: the broker stays within its
# memory budget and a small constant, and serves whoever behaves.
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
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$STUBS timeout 300 "$PYTHON" "$ROOT/tests/proofs/python/memory.py"
