#!/usr/bin/env bash
# Clients that send halves of messages, ask for much and read nothing, and send bombs, all at once: the broker stays within its
# memory budget and a small constant. While they hold the whole budget others may be refused, with errors to try again on (the
# script says whether one got through); once they are gone, or lost their patience, whoever behaves is served.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
source "$ROOT/tests/proofs/python/env.sh"
run_script memory.py 300
