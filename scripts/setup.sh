#!/usr/bin/env bash
# Make .venv: the locked development packages, and our own packages as they stand in the tree. Quick when nothing changed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

command -v uv >/dev/null || fail "uv is not on PATH." "Run: pip install uv, then run this again."

own=$(python3 scripts/own_packages.py development)
mapfile -t own <<<"$own"
stamp=$(cat requirements-dev.txt "${own[@]/%//pyproject.toml}" | cksum)
[[ $(cat .venv/bulkhead-stamp 2>/dev/null) != "$stamp" ]] || exit 0

say "making .venv from requirements-dev.txt"
export VIRTUAL_ENV=$PWD/.venv
[[ -x .venv/bin/python ]] || uv venv --quiet --no-project --python '>=3.11' .venv
uv pip sync --quiet --require-hashes requirements-dev.txt
# Without isolation: the build backend is the locked one, and nothing else is fetched.
uv pip install --quiet --no-deps --no-build-isolation "${own[@]/#/--editable=}"
printf '%s\n' "$stamp" >.venv/bulkhead-stamp
