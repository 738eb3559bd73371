#!/usr/bin/env bash
# kill -9 under load, 200 times at random moments for each of flush=ack and flush=os (SHORT=1: 5 times), with the release
# binary: nothing acknowledged lost, nothing twice, order kept, each restart under a second.
set -euo pipefail
cd "$(dirname "$0")/../.."

export WEIR="${WEIR:-$PWD/target/release/weir}"
[ -x "$WEIR" ] || { echo "skipped: no $WEIR; build it with cargo build --release"; exit 0; }
WEIR=$(realpath "$WEIR")
if [ "${SHORT:-}" = 1 ]; then kills=5; else kills=200; fi
export RUST_BACKTRACE=0
said=$(mktemp)
trap 'rm -f "$said"' EXIT

for flush in ack os; do
    if ! WEIR_KILLS=$kills timeout 1800 cargo test -q --test it "fire::kill::acknowledged_records_survive_at_flush_$flush" \
        -- --exact --nocapture > "$said" 2>&1; then
        tail -40 "$said"
        echo "kill -9, flush=$flush: FAILED"
        exit 1
    fi
    grep -o "kill -9, flush=.*" "$said"
    slowest=$(sed -n 's/.*largest \([0-9]*\) ms.*/\1/p' "$said")
    if [ "$slowest" -ge 1000 ]; then
        echo "kill -9, flush=$flush: a restart took $slowest ms, at most 1000 are allowed"
        exit 1
    fi
done
echo "kill -9: $kills kills under load for each of 2 flush modes: 0 lost, 0 twice with a producer id, 0 out of order, 0 changed"
