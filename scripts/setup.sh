#!/usr/bin/env bash
# Make .venv: the locked development packages, and our own packages as they stand in the tree. Quick when nothing changed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

# Every package but the Airflow image's, which needs Airflow.
OWN=(packages/* images/trainer images/inference)

command -v uv >/dev/null || fail "uv is not on PATH." "Run: pip install uv, then run this again."

inputs=(requirements-dev.txt)
for package in "${OWN[@]}"; do inputs+=("$package/pyproject.toml"); done
stamp=$(cat "${inputs[@]}" | cksum)
[[ $(cat .venv/bulkhead-stamp 2>/dev/null) != "$stamp" ]] || exit 0

say "making .venv from requirements-dev.txt"
export VIRTUAL_ENV=$PWD/.venv
[[ -x .venv/bin/python ]] || uv venv --quiet --no-project --python '>=3.11' .venv
uv pip sync --quiet --require-hashes requirements-dev.txt
# Without isolation: the build backend is the locked one, and nothing else is fetched.
uv pip install --quiet --no-deps --no-build-isolation "${OWN[@]/#/--editable=}"
printf '%s\n' "$stamp" >.venv/bulkhead-stamp
