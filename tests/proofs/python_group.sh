#!/usr/bin/env bash
# A Python script that joins a consumer group through the stream alone, with grpcio and stubs generated from proto/, shares
# partitions with a member of the bundled client and with `weir consume -g`: every record is read, by one of them.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
source "$ROOT/tests/proofs/python/env.sh"
if [ -n "$SKIPPED" ]; then
    echo "skipped: $SKIPPED"
    exit 0
fi
make_stubs
said=$(mktemp)
trap 'rm -rf "$STUBS" "$said"' EXIT
cd "$ROOT"
# The scenario starts it as `$GROUP_MEMBER ADDRESS GROUP TOPIC`.
export WEIR PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$STUBS GROUP_MEMBER="$PYTHON $ROOT/tests/proofs/python/group_member.py"
if ! timeout 400 cargo test -q --test it fire::groups::mixed -- --nocapture >"$said" 2>&1; then
    tail -40 "$said"
    echo "a group of Python, Rust and weir consume: FAILED"
    exit 1
fi
grep 'a group of' "$said"
