#!/usr/bin/env bash
# `consume -J | produce -J` copies a topic from one broker to another without loss: a million records (SHORT=1: 20,000) with keys,
# nulls, bytes that are not UTF-8 and headers that come twice; both ends of the pipe stay as small as they begin.
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C

readonly PARTITIONS=4
# What either end of the pipe may take, in MiB: its batches and windows, whatever the number of records.
readonly MEMORY_MAX_MIB=96
weir=${WEIR:-target/release/weir}
records=$([ -n "${SHORT:-}" ] && echo 20000 || echo 1000000)

fail() { echo "FAILED: $1" >&2; exit 1; }

[ -x "$weir" ] || { echo "skipped: no $weir; cargo build --release makes it"; exit 0; }

source "$(dirname "${BASH_SOURCE[0]}")/broker.bash"

lines() {
    awk -v count="$records" 'BEGIN {
        for (n = 0; n < count; n++) {
            key = n % 11 == 0 ? "null" : "\"user-" n % 997 "\""
            if (n % 13 == 0) value = "\"value\":null"
            else if (n % 7 == 0) value = "\"value\":\"/8MoAA==\",\"value_encoding\":\"base64\""
            else value = "\"value\":\"record number " n "\""
            headers = n % 5 == 0 ? "[{\"key\":\"h\",\"value\":\"" n "\"},{\"key\":\"h\",\"value\":null}]" : "[]"
            printf "{\"key\":%s,%s,\"headers\":%s,\"timestamp\":%d}\n", key, value, headers, 1700000000000 + n
        }
    }'
}

# Everything of a topic, partition by partition, without its offsets: they follow from the order.
all_of() {
    for partition in $(seq 0 $((PARTITIONS - 1))); do
        "$weir" -q -b "$1" consume copied -J -o start -e -p "$partition" | sed -E 's/"offset":[0-9]+,//'
    done | cksum
}

# The most memory that a process has taken until now, in MiB.
most_mib() { awk '/^VmHWM:/ { print int($2 / 1024) }' "/proc/$1/status" 2>/dev/null || true; }

start_broker first
from=$address first=$broker
trap '{ kill -KILL "$first" && wait "$first"; } 2>/dev/null || true; clean_up' EXIT
: >"$folder/serve.json"
start_broker second
to=$address
for each in "$from" "$to"; do "$weir" -q -b "$each" topic create copied -p "$PARTITIONS" >/dev/null; done
lines | "$weir" -q -b "$from" produce copied -J

began=$SECONDS
mkfifo "$folder/pipe"
"$weir" -q -b "$from" consume copied -J -o start -e >"$folder/pipe" &
reader=$!
"$weir" -q -b "$to" produce copied -J <"$folder/pipe" &
writer=$!
memory_of_reader=0 memory_of_writer=0
while kill -0 "$writer" 2>/dev/null; do
    now=$(most_mib "$reader") && memory_of_reader=${now:-$memory_of_reader}
    now=$(most_mib "$writer") && memory_of_writer=${now:-$memory_of_writer}
    sleep 0.1
done
wait "$reader" || fail 'consume ended with an error'
wait "$writer" || fail 'produce ended with an error'
took=$((SECONDS - began))

[ "$(all_of "$from")" = "$(all_of "$to")" ] || fail 'the copy differs'
for memory in "$memory_of_reader" "$memory_of_writer"; do
    [ "$memory" -le "$MEMORY_MAX_MIB" ] || fail "one end of the pipe took $memory MiB, at most $MEMORY_MAX_MIB are right"
done
echo "pipe: $records records copied in $took s, identical; consume took $memory_of_reader MiB at most, produce $memory_of_writer MiB"
