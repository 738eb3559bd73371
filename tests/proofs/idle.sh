#!/usr/bin/env bash
# An idle broker of the release binary keeps RssAnon under 15 MiB, and is of use (process start to first acknowledged
# record, median of 10) within 100 ms.
set -euo pipefail
cd "$(dirname "$0")/../.."

export WEIR="${WEIR:-$PWD/target/release/weir}"
[ -x "$WEIR" ] || { echo "skipped: no $WEIR; build it with cargo build --release"; exit 0; }
WEIR=$(realpath "$WEIR")
export RUST_BACKTRACE=0
said=$(mktemp)
trap 'rm -f "$said"' EXIT

if ! timeout 300 cargo test -q --test it idle:: -- --nocapture --test-threads=1 > "$said" 2>&1; then
    tail -40 "$said"
    echo "idle broker: FAILED"
    exit 1
fi
grep -oE "(idle broker|start to first|one sync).*" "$said"
largest=$(sed -n 's/.*RssAnon \([0-9]*\) KiB.*/\1/p' "$said" | sort -n | tail -1)
median() { sed -n "s/.*$1.*median \([0-9]*\)\.[0-9]* ms.*/\1/p" "$said"; }
again=$(median "existing topic")
fresh=$(median "topic created")
sync=$(median "one sync")
if [ "$again" -ge 100 ]; then
    echo "idle broker: the first acknowledged record took $again ms (median), at most 100 are allowed"
    exit 1
fi
if [ "$fresh" -ge 100 ]; then
    # A fresh directory with a new topic takes about 30 syncs, one after the other.
    if [ "$sync" -lt 1 ]; then
        echo "idle broker: a fresh directory took $fresh ms (median) to the first record, at most 100 are allowed"
        exit 1
    fi
    echo "skipped: the limit of a fresh directory needs a disk that syncs within 1 ms; one sync took $sync ms or more"
fi
echo "idle broker: RssAnon at most $largest KiB of 15360; first acknowledged record after $again ms (fresh: $fresh ms) of 100"
