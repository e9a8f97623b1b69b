#!/usr/bin/env bash
# CPU time and memory of the gateway that polls and aggregates 1,000 registers at 10 Hz, over 30 s (or SECONDS).
# Run by `tests/run cpu`, which makes the Python that it needs. Release build; let nothing else run beside it.
#
#   tests/cpu.sh [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."

python=${MILLGATE_TEST_PYTHON:-.venv/bin/python}
if [[ ! -x $python ]]; then
    echo "tests/cpu.sh: there is no Python with pymodbus at $python; \`tests/run tools\` makes it" >&2
    exit 69
fi
# As it runs on a box: without the demo and its simulated machines.
cargo build --quiet --release --locked --no-default-features
MILLGATE_LOG=${MILLGATE_LOG:-warn} "$python" tests/peers/load.py "${CARGO_TARGET_DIR:-target}/release/millgate" "${1:-30}"
