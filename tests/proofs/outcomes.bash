# What scenarios under fire leave in the folder that the build gives to tests (tests/it/fire/outcomes.rs): lines about those that
# were skipped, and for each history how many records were refused as not written and how many of these were read. Sourced.

readonly LEFT="${CARGO_TARGET_DIR:-target}/tmp"

begin_outcomes() {
    mkdir -p "$LEFT"
    : > "$LEFT/skipped"
    : > "$LEFT/outcomes"
}

print_skipped() {
    sort "$LEFT/skipped"
}

# sum_outcomes LEAST: the sum over all histories. Fails where a refused record was read, or fewer than LEAST were refused.
sum_outcomes() {
    awk -v least="$1" '
        { refused += $2; read += $3 }
        END {
            printf "three outcomes: %d histories, %d records refused as not written, %d of them read\n", NR, refused, read
            exit (read > 0 || refused < least)
        }' "$LEFT/outcomes"
}
