#!/usr/bin/env bash
# The invariants of the simulation are able to fail: each rule of the group machine, of a member's stream, of the disk and of the clients
# is taken out in turn (cargo feature `fault`), and worlds are run until one is noticed, 50 at least (SHORT=1: 1); then each invariant
# has noticed something too. The short form leaves out three rules that one of hundreds or thousands of worlds notices.
set -euo pipefail
cd "$(dirname "$0")/../.."

# WHY debug: `rules.sh` has built it with the feature.
if [ "${SHORT:-}" = 1 ]; then
    export WEIR_RULE_SEEDS_MIN="${WEIR_RULE_SEEDS_MIN:-1}" WEIR_RULE_SEEDS="${WEIR_RULE_SEEDS:-400}"
fi
export RUST_BACKTRACE=0
said=$(mktemp)
trap 'rm -f "$said"' EXIT

if ! timeout 1800 cargo test -q --features fault --test sim breaking_any_rule_is_noticed -- --exact --nocapture > "$said" 2>&1; then
    tail -40 "$said"
    echo "sim_rules: FAILED"
    exit 1
fi
# WHY: without the feature most rules stay in, and nobody would see it.
grep -q '^without Group(' "$said" && grep -q '^without Session(' "$said" || { echo "sim_rules: rules were not taken out"; exit 1; }
[ "${SHORT:-}" = 1 ] || grep '^without ' "$said"
grep 'rules taken out' "$said"
