#!/usr/bin/env bash
# Any stock gRPC client can use Weir: Python with grpcio and stubs generated from proto/, and no code of ours.
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
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$STUBS timeout 120 "$PYTHON" "$ROOT/tests/proofs/python/stock_client.py"
