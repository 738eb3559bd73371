#!/usr/bin/env bash
# The log under fire: tests/proofs/fire.sh SCENARIO... runs scenarios of tests/it/fire at length, with the release binary: one
# or more of those below, or all. Each prints its counts, and a history that is not as promised ends it with an error.
# SHORT=1: `cargo test` has run the short form of every scenario already, with the debug binary; two of those that need root or
# strace are run with the release binary.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/proofs/outcomes.bash

export WEIR="${WEIR:-$PWD/target/release/weir}"
[ -x "$WEIR" ] || { echo "skipped: no $WEIR; build it with cargo build --release"; exit 0; }
WEIR=$(realpath "$WEIR")
export RUST_BACKTRACE=0
said=$(mktemp)
trap 'rm -f "$said"' EXIT

# run NAME SECONDS TEST: one scenario, with the counts that are in the environment.
run() {
    local name=$1 seconds=$2 part=$3
    if ! timeout "$seconds" cargo test -q --test it "$part" -- --nocapture --test-threads=1 > "$said" 2>&1; then
        tail -60 "$said"
        echo "$name: FAILED"
        exit 1
    fi
    # What the scenarios print, without the frame of the test program.
    sed -E 's/^test [^ ]+ \.\.\. //' "$said" | grep -vE '^(ok|running .*|test result: .*|\.*)?$' || true
}

readonly SCENARIOS="kill power-cut damage checkpoints full-disk folders restart-time upkeep syscalls failed-sync read-only first-start slow-disk hot-topic frozen descriptors clock compaction group-commits group-rest group-churn group-rules group-growth"

scenario() {
    case $1 in
        kill) WEIR_KILLS=${WEIR_KILLS:-200} run kill 3600 fire::kill ;;
        power-cut) WEIR_CUTS=${WEIR_CUTS:-50} run power-cut 3600 fire::power_cut ;;
        damage) WEIR_EVERY_BYTE=1 WEIR_FLIPS=${WEIR_FLIPS:-200} run damage 3600 fire::damage ;;
        checkpoints) run checkpoints 600 fire::checkpoints ;;
        full-disk) WEIR_ROUNDS=${WEIR_ROUNDS:-5} run full-disk 3600 fire::full_disk ;;
        folders) WEIR_KILLS=${WEIR_KILLS:-50} WEIR_EVERY_CALL=1 run folders 3600 fire::folders ;;
        restart-time) WEIR_GIB=${WEIR_GIB:-10} run restart-time 3600 fire::restart_time ;;
        upkeep) WEIR_KILLS=${WEIR_KILLS:-50} run upkeep 3600 fire::upkeep ;;
        syscalls) WEIR_FAULTS=${WEIR_FAULTS:-200} run syscalls 3600 fire::syscalls ;;
        failed-sync) WEIR_CUTS=${WEIR_CUTS:-50} run failed-sync 3600 fire::failed_sync ;;
        read-only) WEIR_CUTS=${WEIR_CUTS:-20} run read-only 1800 fire::read_only ;;
        first-start) WEIR_EVERY_CALL=1 run first-start 1800 fire::first_start ;;
        slow-disk) WEIR_SLOW=${WEIR_SLOW:-6} WEIR_STOPPED_MS=${WEIR_STOPPED_MS:-5000} run slow-disk 3600 fire::slow_disk ;;
        compaction) WEIR_KILLS=${WEIR_KILLS:-100} run compaction 3600 fire::compaction ;;
        hot-topic) WEIR_ANSWERS=${WEIR_ANSWERS:-500} run hot-topic 1800 fire::hot_topic ;;
        frozen) WEIR_FREEZES=${WEIR_FREEZES:-20} WEIR_FROZEN_MS=${WEIR_FROZEN_MS:-30000} run frozen 3600 fire::frozen ;;
        descriptors) WEIR_FLOODS=${WEIR_FLOODS:-30} run descriptors 1800 fire::descriptors ;;
        clock) WEIR_CUTS=${WEIR_CUTS:-20} run clock 1800 fire::clock ;;
        group-commits) WEIR_KILLS=${WEIR_KILLS:-200} WEIR_CUTS=${WEIR_CUTS:-20} run group-commits 3600 fire::groups::commits ;;
        group-rest) WEIR_KILLS=${WEIR_KILLS:-20} run group-rest 1800 fire::groups::stable ;;
        group-churn) WEIR_ROUNDS=${WEIR_ROUNDS:-20} run group-churn 3600 fire::groups::churn ;;
        group-rules) run group-rules 600 fire::groups::refused; run group-rules 600 fire::groups::kept ;;
        group-growth) WEIR_COMMITS=${WEIR_COMMITS:-5000000} run group-growth 1800 fire::groups::growth ;;
        all) for each in $SCENARIOS; do scenario "$each"; done ;;
        *) echo "unknown scenario '$1'; there are: $SCENARIOS all"; exit 2 ;;
    esac
}

if [ "${SHORT:-}" = 1 ]; then
    echo "fire: the short forms of $SCENARIOS ran with cargo test"
    WEIR_CUTS=1 run power-cut 120 fire::power_cut::nothing
    WEIR_FAULTS=2 run syscalls 120 fire::syscalls::failing_calls_lose_nothing_at_flush_ack
    exit 0
fi
[ $# -gt 0 ] || { echo "which scenario? there are: $SCENARIOS all"; exit 2; }
begin_outcomes
for name in "$@"; do
    scenario "$name"
done
print_skipped
# Of all scenarios some refuse much; a single one may refuse nothing.
case " $* " in
    *" all "*) sum_outcomes 1 ;;
    *) sum_outcomes 0 ;;
esac
