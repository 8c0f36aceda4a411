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
while IFS= read -r name; do own+=(--no-emit-package "$name"); done < <(sed -n 's/^name = "\(.*\)"$/\1/p' packages/*/pyproject.toml)

lock images/build-requirements.txt "$IMAGE_PYTHON" images/build-requirements.in "$@"
# A model is trained and served, and an exchange file written and read, by the very same libraries: what an image's
# pyproject.toml names as versions-of is locked before it, and constrains it.
resolutions=$(python3 scripts/own_packages.py resolutions)
while read -r image reference; do
  constraint=()
  [[ -z $reference ]] || constraint=(--constraint "images/$reference/requirements.txt")
  lock "images/$image/requirements.txt" "$IMAGE_PYTHON" "images/$image/pyproject.toml" "${own[@]}" ${constraint[@]+"${constraint[@]}"} "$@"
done <<<"$resolutions"
# What the user's models need besides, for both step images: by the versions that those have.
lock project/requirements.txt "$IMAGE_PYTHON" project/requirements.in --constraint images/trainer/requirements.txt "$@" ||
  fail "project/requirements.in cannot be locked (above)." "Fix the names or versions there, then run 'just lock' again."
# The Models page is tested here with the very FastAPI that it runs with there.
lock requirements-dev.txt "$OLDEST_PYTHON" --group dev --constraint images/airflow/requirements.txt "$@"

# A lock is tracked, so an address or a path of this machine must never be in one.
if grep -nE '://|(^|[ =])/[a-z]|^-' images/build-requirements.txt images/*/requirements.txt project/requirements.txt requirements-dev.txt >&2; then
  fail "a lock names an address or a path of this machine (above)." "Take it out of the inputs or of uv's settings, then run 'just lock' again."
fi
