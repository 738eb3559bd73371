#!/usr/bin/env bash
# Any stock gRPC client can use Weir: Python with grpcio and stubs generated from proto/, and no code of ours. The README's program
# runs.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
source "$ROOT/tests/proofs/python/env.sh"
run_script stock_client.py 120
run_script readme.py 60
