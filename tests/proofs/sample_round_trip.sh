#!/usr/bin/env bash
# The sample data goes in with `weir produce -J` and comes out with `weir consume -J -o start -e`: identical in key, value,
# headers and timestamp; the records of one key are in one partition, in order.
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C

weir=${WEIR:-target/release/weir}

fail() { echo "FAILED: $1" >&2; exit 1; }

if [ ! -x "$weir" ]; then
    echo "skipped: no $weir; cargo build --release makes it"
    exit 0
fi

source "$(dirname "${BASH_SOURCE[0]}")/broker.bash"

# Turns what `consume -J` prints into the form of the sample files: what the log added goes, nothing else changes.
without_place() {
    sed -E 's/^\{"topic":"[^"]*","partition":[0-9]+,"offset":[0-9]+,"timestamp":([0-9]+),"timestamp_type":"create",(.*)\}$/{\2,"timestamp":\1}/'
}

# Puts the key, as it stands in the line, before each line and keeps the order within a key.
by_key() {
    sed -E 's/^(\{"key":("[^"]*"),.*)$/\2\t\1/' | sort -s -t "$(printf '\t')" -k1,1
}

# Each key's number of partitions must be one.
keys_in_two_partitions() {
    sed -E 's/^\{"topic":"[^"]*","partition":([0-9]+),.*"timestamp_type":"create","key":("[^"]*"),.*$/\2 \1/' "$1" |
        sort -u | cut -d' ' -f1 | uniq -d
}

# round_trip NAME: a topic filled with a file and read back.
round_trip() {
    local sent=data/$1.ndjson read=$folder/$1.ndjson
    "$weir" -q -b "$address" topic create "$1" -p 6 >/dev/null
    "$weir" -q -b "$address" produce "$1" -J -F "$sent"
    "$weir" -q -b "$address" consume "$1" -J -o start -e >"$read"
    cmp -s <(sort "$sent") <(without_place <"$read" | sort) || fail "$1: other records came out than went in"
}

start_broker
for name in products prices activity; do
    round_trip "$name"
    [ -z "$(keys_in_two_partitions "$folder/$name.ndjson")" ] || fail "$name: a key is in two partitions"
    cmp -s <(by_key <"data/$name.ndjson") <(without_place <"$folder/$name.ndjson" | by_key) ||
        fail "$name: the records of a key came out in another order"
done
# Without keys only the order within a partition is promised, here told by the rising ids.
round_trip emails
for partition in 0 1 2 3 4 5; do
    sed -nE "s/.*\"partition\":$partition,.*(mail-[0-9]+).*/\1/p" "$folder/emails.ndjson" | sort -c -u ||
        fail "emails: partition $partition is out of order"
done
records=$(cat data/*.ndjson | wc -l)
echo "sample data: $records records in 4 topics came back identical, each key in one partition and in order"
