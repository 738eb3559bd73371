#!/usr/bin/env bash
# Clients that send halves of messages, ask for much and read nothing, and send bombs, all at once: the broker stays within its
# memory budget and a small constant, and serves whoever behaves.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
source "$ROOT/tests/proofs/python/env.sh"
run_script memory.py 300
