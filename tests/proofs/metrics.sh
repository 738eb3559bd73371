#!/usr/bin/env bash
# Prometheus' own tool reads what /metrics gives, and its rules for good metrics find nothing; however many topics there are, the number
# of series has a bound.
#
# Takes promtool from $PROMTOOL or the path, else out of Debian's package `prometheus`. SHORT=1 takes fewer topics.
set -euo pipefail
cd "$(dirname "$0")/../.."

weir=${WEIR:-target/release/weir}
topics=$([ -n "${SHORT:-}" ] && echo 20 || echo 1200)
readonly OWN_MAX=1000 FAMILIES=6
# WHY under target/: the package is fetched once and not again for each proof.
readonly PACKAGE=${CARGO_TARGET_DIR:-$PWD/target}/promtool

skip() { echo "skipped: $1"; exit 0; }
fail() { echo "FAILED: $1" >&2; exit 1; }

# find_promtool: sets $promtool; nothing is installed.
find_promtool() {
    promtool=${PROMTOOL:-$(command -v promtool || true)}
    [ -z "$promtool" ] || return 0
    promtool=$PACKAGE/usr/bin/promtool
    [ ! -x "$promtool" ] || return 0
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    rm -rf "$PACKAGE" && mkdir -p "$PACKAGE"
    (cd "$PACKAGE" && timeout 240 apt-get download prometheus) >"$PACKAGE/log.txt" 2>&1 || return 1
    dpkg-deb --fsys-tarfile "$PACKAGE"/prometheus_*.deb | tar -x -C "$PACKAGE" ./usr/bin/promtool || return 1
    rm -f "$PACKAGE"/prometheus_*.deb
}

[ -x "$weir" ] || skip "no $weir; cargo build --release makes it"
find_promtool || skip "promtool is not here, and Debian's package prometheus can't be fetched"

source "$(dirname "${BASH_SOURCE[0]}")/broker.bash"

# scrape: what a scrape gets, in $folder/metrics.
scrape() {
    exec 3<>"/dev/tcp/${address%:*}/${address##*:}"
    printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
    sed '1,/^\r$/d' <&3 >"$folder/metrics"
    exec 3<&-
    [ "$(grep -c '^weir_uptime_seconds ' "$folder/metrics")" = 1 ] || fail "that are no metrics: $(head -c 500 "$folder/metrics")"
}

# check WHEN: Prometheus' tool on a scrape; it says what it does not like and ends with an error.
check() {
    scrape
    "$promtool" check metrics <"$folder/metrics" >"$folder/said" 2>&1 || fail "promtool, $1: $(cat "$folder/said")"
    [ ! -s "$folder/said" ] || fail "promtool, $1: $(cat "$folder/said")"
}

for bad in '# TYPE weir_x gauge\nweir_x{a="b} 1' 'weir_x_total 1' '# HELP weir_x_ms Times.\n# TYPE weir_x_ms gauge\nweir_x_ms 1'; do
    ! printf "$bad\n" | "$promtool" check metrics >"$folder/said" 2>&1 || [ -s "$folder/said" ] ||
        fail "promtool finds nothing wrong with '$bad': it shows nothing"
done

start_broker
check 'a new broker'
for from in $(seq 1 100 "$topics"); do
    to=$((from + 99 < topics ? from + 99 : topics))
    "$weir" -q -b "$address" topic create $(seq -f 'topic-%g' "$from" "$to") >/dev/null
done
for topic in topic-1 "topic-$topics"; do
    "$weir" -q -b "$address" produce "$topic" -J -F data/prices.ndjson
    "$weir" -q -b "$address" consume "$topic" -o start -e >/dev/null
done
! "$weir" -q -b "$address" topic describe no-such-topic 2>/dev/null || fail 'a topic that nobody made is there'
check "$topics topics"

series=$(grep -c '^weir_topic_' "$folder/metrics")
own=$((topics < OWN_MAX ? topics : OWN_MAX + 1))
[ "$series" = $((own * FAMILIES)) ] || fail "$series series of topics, not $((own * FAMILIES))"
records=$(($(wc -l <data/prices.ndjson) * 2))
grep -qx "weir_produce_records_total $records" "$folder/metrics" || fail "not $records records: $(grep records "$folder/metrics" | head -5)"
sum=$(sed -n 's/^weir_topic_fetch_records_total{.*} //p' "$folder/metrics" | paste -sd+ | bc 2>/dev/null || echo "$records")
[ "$sum" = "$records" ] || fail "the topics gave $sum records to readers, not $records"
grep -qx 'weir_request_errors_total{reason="TOPIC_NOT_FOUND"} 1' "$folder/metrics" || fail 'the error is not counted'
echo "metrics: $("$promtool" --version 2>&1 | head -1 | cut -d' ' -f1-3) takes $(grep -vc '^#' "$folder/metrics") samples of" \
    "$(grep -c '^# TYPE' "$folder/metrics") metrics without a finding; $topics topics have $series series"
