#!/usr/bin/env bash
# A hostile or clumsy client breaks nothing: every malformed input gets its typed error, the broker lives, memory stays flat.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
source "$ROOT/tests/proofs/python/env.sh"
run_script malformed.py 300
