# Sourced by proofs in Python: makes $PYTHON, a stock interpreter with grpcio and with stubs generated from proto/, and sets
# $WEIR. Sets $SKIPPED to a reason where that can't be done. Needs $ROOT.

WEIR=${WEIR:-$ROOT/target/release/weir}
SKIPPED=
# WHY under target/: the packages are fetched once and not again for each proof.
PYTHON_ENV=${CARGO_TARGET_DIR:-$ROOT/target}/python-proofs
PYTHON=$PYTHON_ENV/bin/python3

# Installs the packages unless the same list was installed before.
make_python() {
    local wanted=$ROOT/tests/proofs/python/requirements.txt
    cmp -s "$wanted" "$PYTHON_ENV/installed.txt" && return 0
    rm -rf "$PYTHON_ENV"
    python3 -m venv "$PYTHON_ENV" >/dev/null 2>&1 || return 1
    timeout 240 "$PYTHON" -m pip install --quiet --disable-pip-version-check --only-binary :all: -r "$wanted" \
        >"$PYTHON_ENV/pip.log" 2>&1 || return 1
    cp "$wanted" "$PYTHON_ENV/installed.txt"
}

# Stubs are made anew each time, so that they are those of the proto files as they stand.
make_stubs() {
    STUBS=$(mktemp -d)
    (cd "$ROOT/proto" && "$PYTHON" -m grpc_tools.protoc -I . --python_out="$STUBS" --grpc_python_out="$STUBS" weir/v1/*.proto)
}

if ! command -v python3 >/dev/null; then
    SKIPPED='python3 is not here'
elif ! [ -x "$WEIR" ]; then
    SKIPPED="$WEIR is not here: cargo build --release"
elif ! make_python; then
    SKIPPED='the packages of tests/proofs/python/requirements.txt can not be installed from PyPI'
fi

# run_script NAME SECONDS: runs a script of this folder with the stubs; where that can't be done it says why.
run_script() {
    if [ -n "$SKIPPED" ]; then
        echo "skipped: $SKIPPED"
        return 0
    fi
    [ -n "${STUBS:-}" ] || make_stubs
    trap 'rm -rf "$STUBS"' EXIT
    export WEIR
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$STUBS timeout "$2" "$PYTHON" "$ROOT/tests/proofs/python/$1"
}
