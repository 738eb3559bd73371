#!/usr/bin/env bash
# Kafka's own tool reads the segments that Weir wrote: every batch and every record valid, and each record the one that
# `weir consume` gives. With each codec, chosen by the client and by the topic, with append time, and what compaction has left.
#
# Needs a script that runs Kafka's tools as `SCRIPT dump-log ARGS..`: $KAFKA_PEER, a developer's tool outside of the package.
# SHORT=1 takes fewer records.
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C

readonly CODECS='none gzip snappy lz4 zstd'
weir=${WEIR:-target/release/weir}
peer=${KAFKA_PEER:-../shared/peers/kafka/kafka}
# Records of a topic beside those of every kind; several segments of this size hold them.
records_each=$([ -n "${SHORT:-}" ] && echo 400 || echo 3500)
readonly SEGMENT_BYTES=4096

skip() { echo "skipped: $1"; exit 0; }
fail() { echo "FAILED: $1" >&2; exit 1; }

[ -x "$peer" ] || skip "no script that runs Kafka's tools at $peer (KAFKA_PEER)"
command -v java >/dev/null || skip 'java is not installed'
[ -x "$weir" ] || skip "no $weir; cargo build --release makes it"

source "$(dirname "${BASH_SOURCE[0]}")/broker.bash"

stop_broker() {
    kill -TERM "$broker"
    wait "$broker" || fail "the broker does not stop cleanly: $(cat "$folder/serve.err")"
    broker=
}

# Null, empty and binary keys and values, headers that are null, binary or come twice.
of_every_kind() {
    cat <<'LINES'
{"key":"k","value":null,"headers":[]}
{"key":null,"value":null,"headers":[{"key":"h","value":null}]}
{"key":"","value":"","headers":[{"key":"h","value":""},{"key":"h","value":"twice"}]}
{"key":"/8MoAA==","key_encoding":"base64","value":"/8MoAA==","value_encoding":"base64","headers":[{"key":"b","value":"/w==","value_encoding":"base64"}]}
{"key":null,"value":"żółw","headers":[]}
LINES
}

# fill TOPIC CODEC CONFIG...: a topic of one partition with several segments.
fill() {
    local topic=$1 codec=$2 configs=()
    shift 2
    for config in "segment.bytes=$SEGMENT_BYTES" "$@"; do configs+=(-c "$config"); done
    "$weir" -q -b "$address" topic create "$topic" "${configs[@]}" >/dev/null
    "$weir" -q -b "$address" produce "$topic" -J -z "$codec" -X batch.bytes=1KiB -F "$folder/records.ndjson"
}

# What Weir's consumer reads, in the words of Kafka's tool, which prints U+FFFD for bytes that are no text.
as_consumed() {
    "$weir" -q -b "$address" consume "$1" -o start -e -f '%o %T %K %S [%h{%k,}] %k%s\n' |
        sed 's/\xff\xc3(/\xef\xbf\xbd\xef\xbf\xbd(/g'
}

# The same from the tool's lines: offset, time, lengths, names of headers, key and value.
as_dumped() {
    sed -nE 's/^\| offset: ([0-9]+) [A-Za-z]+: ([0-9]+) keySize: (-?[0-9]+) valueSize: (-?[0-9]+) .*headerKeys: \[([^]]*)\](.*)$/\1 \2 \3 \4 [\5,]\6/p' |
        sed -E 's/ \[,\]/ []/; s/\]$/] /; s/\] (key|payload): /] /; s/ payload: //'
}

# check TOPIC CODEC: the tool's words on one topic, `$folder/TOPIC.dump`, against Weir's consumer.
check() {
    local dump=$folder/$1.dump valid segments codecs
    if grep -aiE 'isvalid: false|corrupt|invalid bytes|mismatch|non-consecutive|exception' "$dump"; then
        fail "$1: Kafka's tool finds fault"
    fi
    valid=$(grep -ac '^baseOffset: .* isvalid: true$' "$dump")
    segments=$(grep -ac '^Dumping ' "$dump")
    [ "$segments" -gt 1 ] && [ "$valid" -gt "$segments" ] || fail "$1: only $valid batches in $segments segments"
    codecs=$(grep -ao 'compresscodec: [a-z0-9]*' "$dump" | sort -u)
    [ "$codecs" = "compresscodec: $2" ] || fail "$1: has $codecs"
    as_dumped <"$dump" >"$folder/$1.dumped"
    cmp "$folder/$1.consumed" "$folder/$1.dumped" || fail "$1: Kafka's tool reads other records than Weir"
    [ "$(grep -ac '^| offset: ' "$dump")" -eq "$records" ] || fail "$1: not $records records"
    batches=$((batches + valid))
}

# Keys over and over in each codec, some of them deleted; returns when it is compacted.
fill_compacted() {
    "$weir" -q -b "$address" topic create compacted -c cleanup.policy=compact -c min.cleanable.dirty.ratio=0 \
        -c "segment.bytes=$SEGMENT_BYTES" >/dev/null
    for codec in $CODECS; do
        seq 600 | awk -v codec="$codec" '{
            value = $1 % 13 ? "\"value " $1 "\"" : "null"
            printf "{\"key\":\"%s-%d\",\"value\":%s,\"headers\":[]}\n", codec, $1 % 40, value }' >"$folder/keys.ndjson"
        "$weir" -q -b "$address" produce compacted -J -z "$codec" -X batch.bytes=1KiB -F "$folder/keys.ndjson"
    done
    for _ in $(seq 100); do
        as_consumed compacted >"$folder/compacted.consumed"
        sleep 0.5
        as_consumed compacted >"$folder/compacted.later"
        [ "$(wc -l <"$folder/compacted.later")" -ge 600 ] || ! cmp -s "$folder"/compacted.{consumed,later} || return 0
    done
    fail "compacted: $(wc -l <"$folder/compacted.later") records are left"
}

# What compaction has written: batches with gaps, without records, with delete horizons; the same records as Weir's consumer reads.
check_compacted() {
    local dump=$folder/compacted.dump
    # Gaps are told as well, which is right here.
    if grep -aiE 'isvalid: false|corrupt|invalid bytes|mismatch|exception' "$dump"; then
        fail "compacted: Kafka's tool finds fault"
    fi
    as_dumped <"$dump" >"$folder/compacted.dumped"
    cmp "$folder/compacted.consumed" "$folder/compacted.dumped" || fail "compacted: Kafka's tool reads other records than Weir"
    emptied=$(grep -ac '^baseOffset: .* count: 0 ' "$dump")
    horizons=$(grep -acE '^baseOffset: .* deleteHorizonMs: (OptionalLong\[)?[0-9]' "$dump")
    compacted=$(grep -ac '^| offset: ' "$dump")
    [ "$emptied" -gt 0 ] && [ "$horizons" -gt 0 ] && [ "$compacted" -gt 200 ] ||
        fail "compacted: $emptied batches without records, $horizons delete horizons, $compacted records"
}

# WHY: compaction begins when the broker keeps house.
export WEIR_LOG_RETENTION_CHECK_INTERVAL_MS=100
start_broker
{ of_every_kind; cat data/*.ndjson | sed -n "1,${records_each}p"; of_every_kind; } >"$folder/records.ndjson"
records=$(wc -l <"$folder/records.ndjson")
declare -A codec_of
for codec in $CODECS; do
    fill "client-$codec" "$codec"
    codec_of[client-$codec]=$codec
    # The broker encodes anew what comes in another codec.
    fill "topic-$codec" "$([ "$codec" = none ] && echo zstd || echo none)" "compression.type=${codec/none/uncompressed}"
    codec_of[topic-$codec]=$codec
done
fill append-time lz4 message.timestamp.type=LogAppendTime
codec_of[append-time]=lz4
for topic in "${!codec_of[@]}"; do as_consumed "$topic" >"$folder/$topic.consumed"; done
fill_compacted
stop_broker

batches=0
mapfile -t files < <(find "$folder/broker" -path '*-0/*.log' ! -path '*/__*' | sort)
# WHY the locale: Java writes in it, and C has no letters beyond ASCII.
LC_ALL=C.UTF-8 "$peer" dump-log --files "$(IFS=,; echo "${files[*]}")" --deep-iteration --print-data-log \
    >"$folder/dump" 2>"$folder/dump.err" || fail "the tool ends with an error: $(cat "$folder/dump" "$folder/dump.err")"
# One file for each topic; the tool names each segment before its batches.
awk -v folder="$folder" '/^Dumping / { n = split($2, part, "/"); topic = substr(part[n - 1], 1, length(part[n - 1]) - 2) }
    { print > (folder "/" topic ".dump") }' "$folder/dump"
for topic in "${!codec_of[@]}"; do check "$topic" "${codec_of[$topic]}"; done
check_compacted
echo "kafka dump-log: $((records * ${#codec_of[@]})) records in $batches batches and ${#files[@]} segments of" \
    "${#codec_of[@]} topics valid, as Weir reads them (codecs: $CODECS); $compacted records of 3000 in a compacted topic," \
    "$emptied batches without records and $horizons delete horizons in it"
