#!/usr/bin/env bash
# Run tests against the project as it comes, tests/box/project, whatever a user has made of project/: with-box.sh COMMAND...
#
# Where the two are alike, the images that are there have it. Where not, images of the tests' own are built, tagged `box`.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export BULKHEAD_PROJECT_FOLDER=./tests/box/project
if ! diff --recursive --brief --exclude=tests --exclude=dags --exclude=__pycache__ project tests/box/project >/dev/null; then
  export BULKHEAD_TAG=box
  scripts/build-images.sh
fi
exec "$@"
