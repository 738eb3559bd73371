# A broker of a proof's own, in a folder that goes with it. Sourced; needs $weir and the function fail.

folder=$(mktemp -d)
broker=
clean_up() {
    [ -z "$broker" ] || { kill -KILL "$broker" && wait "$broker"; } 2>/dev/null || true
    rm -rf "$folder"
}
trap clean_up EXIT

# start_broker [NAME]: on a data directory of that name.
start_broker() {
    "$weir" serve --data-dir "$folder/${1:-broker}" --listen 127.0.0.1:0 -J >"$folder/serve.json" 2>"$folder/serve.err" &
    broker=$!
    for _ in $(seq 100); do
        address=$(sed -n 's/.*"address":"\([^"]*\)".*/\1/p' "$folder/serve.json")
        [ -z "$address" ] || return 0
        kill -0 "$broker" 2>/dev/null || break
        sleep 0.1
    done
    fail "the broker does not start: $(cat "$folder/serve.err")"
}
