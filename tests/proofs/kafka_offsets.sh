#!/usr/bin/env bash
# Kafka's own tool decodes the offsets log that Weir wrote: every record of it is known, the offsets in it are those that Weir tells, and
# the records of each group lie in the partition that Kafka would choose.
#
# Needs a script that runs Kafka's tools as `SCRIPT dump-log ARGS..`: $KAFKA_PEER, a developer's tool outside of the package.
# SHORT=1 takes fewer groups.
set -euo pipefail
cd "$(dirname "$0")/../.."
# Java writes in it, and C has no letters beyond ASCII.
export LC_ALL=C.UTF-8

weir=${WEIR:-target/release/weir}
peer=${KAFKA_PEER:-../shared/peers/kafka/kafka}
group_count=$([ -n "${SHORT:-}" ] && echo 10 || echo 100)
readonly PARTITIONS=3 RECORDS=60

skip() { echo "skipped: $1"; exit 0; }
fail() { echo "FAILED: $1" >&2; exit 1; }

[ -x "$peer" ] || skip "no script that runs Kafka's tools at $peer (KAFKA_PEER)"
command -v java >/dev/null || skip 'java is not installed'
command -v python3 >/dev/null || skip 'python3 is not installed'
[ -x "$weir" ] || skip "no $weir; cargo build --release makes it"

source "$(dirname "${BASH_SOURCE[0]}")/broker.bash"

# The last two have the hash i32::MIN, and letters beyond ASCII and beyond 16 bits.
groups() {
    for number in $(seq "$group_count"); do echo "group-$number"; done
    printf '%s\n' 'a group' polygenelubricants 'żółw 🐢'
}

# What Kafka chooses, by Java itself: `Utils.abs(group.hashCode()) % 50`, where abs of the least number is 0.
partitions_of_kafka() {
    cat >"$folder/Choose.java" <<'JAVA'
import java.nio.charset.StandardCharsets;

public class Choose {
    public static void main(String[] none) throws Exception {
        var out = new java.io.PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String group : new String(System.in.readAllBytes(), StandardCharsets.UTF_8).split("\n")) {
            int hash = group.hashCode();
            out.println((hash == Integer.MIN_VALUE ? 0 : Math.abs(hash)) % 50 + "\t" + group);
        }
    }
}
JAVA
    java "$folder/Choose.java"
}

start_broker
"$weir" -q -b "$address" topic create orders -p "$PARTITIONS" >/dev/null
seq "$RECORDS" | awk '{ printf "{\"key\":\"key %d\",\"value\":\"v\",\"headers\":[]}\n", $1 }' |
    "$weir" -q -b "$address" produce orders -J
groups >"$folder/groups"
while read -r group; do
    # Each stops somewhere else.
    "$weir" -q -b "$address" consume orders -g "$group" -c "$((RANDOM % RECORDS + 1))" </dev/null >/dev/null
    "$weir" -q -b "$address" group describe "$group" -J </dev/null | tr -d '\n' >>"$folder/told"
    echo >>"$folder/told"
done <"$folder/groups"
kill -TERM "$broker"
wait "$broker" || fail "the broker does not stop cleanly: $(cat "$folder/serve.err")"
broker=

mapfile -t files < <(find "$folder/broker" -path '*__consumer_offsets-*.log' -size +0 | sort)
[ ${#files[@]} -gt 0 ] || fail 'there is no offsets log'
"$peer" dump-log --offsets-decoder --files "$(IFS=,; echo "${files[*]}")" >"$folder/dump" 2>"$folder/dump.err" ||
    fail "the tool ends with an error: $(cat "$folder/dump" "$folder/dump.err")"
if grep -aiE 'isvalid: false|corrupt|invalid|mismatch|exception|unknown' "$folder/dump"; then
    fail "Kafka's tool finds fault"
fi
partitions_of_kafka <"$folder/groups" >"$folder/chosen"
python3 tests/proofs/kafka_offsets.py "$folder"
