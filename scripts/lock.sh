#!/usr/bin/env bash
# Resolve every lock anew: one requirements file with hashes for each image, one for building, one for development.
#
# The locks hold third-party packages only, and no address: plain pip or uv installs them from whatever
# index the machine is set up with. Versions already in a lock stay, unless options say otherwise:
#   scripts/lock.sh --upgrade                     everything to the newest allowed
#   scripts/lock.sh --upgrade-package pandas      one package
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

readonly IMAGE_PYTHON=3.13
readonly OLDEST_PYTHON=3.11

# Only metadata is read, so any interpreter at hand resolves for the image's.
export UV_PYTHON_DOWNLOADS=never
# The header of a lock names the way to make it again, whatever this machine's options were.
export UV_CUSTOM_COMPILE_COMMAND='just lock'

command -v uv >/dev/null || fail "uv is not on PATH." "Run: pip install uv, then run this again."

# lock OUTPUT PYTHON INPUT_AND_OPTIONS...
lock() {
  local output=$1 python=$2
  shift 2
  say "locking $output"
  uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
    --python-version "$python" --output-file "$output" "$@" >/dev/null
}

# Our own packages are read for what they depend on, and installed from the tree.
own=()
for name in $(sed -n 's/^name = "\(.*\)"$/\1/p' packages/*/pyproject.toml); do own+=(--no-emit-package "$name"); done

lock images/build-requirements.txt "$IMAGE_PYTHON" images/build-requirements.in "$@"
lock images/airflow/requirements.txt "$IMAGE_PYTHON" images/airflow/pyproject.toml "${own[@]}" "$@"
lock images/trainer/requirements.txt "$IMAGE_PYTHON" images/trainer/pyproject.toml "${own[@]}" "$@"
# One resolution for both step images: a model is trained and served by the very same libraries.
lock images/inference/requirements.txt "$IMAGE_PYTHON" images/inference/pyproject.toml "${own[@]}" \
  --constraint images/trainer/requirements.txt "$@"
# The Models page is tested here with the very FastAPI that it runs with there.
lock requirements-dev.txt "$OLDEST_PYTHON" --group dev --constraint images/airflow/requirements.txt "$@"

# A lock is tracked, so an address or a path of this machine must never be in one.
if grep -nE '://|(^|[ =])/[a-z]|^-' images/build-requirements.txt images/*/requirements.txt requirements-dev.txt >&2; then
  fail "a lock names an address or a path of this machine (above)." "Take it out of the inputs or of uv's settings, then run 'just lock' again."
fi
