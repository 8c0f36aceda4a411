#!/usr/bin/env bash
# The registry's command line, from the trainer image, on models/ mounted read-only: registry.sh [ARGUMENT...]
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

scripts/engine.sh
scripts/env.sh
tag=$(scripts/env.sh get BULKHEAD_TAG)
image=bulkhead/trainer:${tag:-latest}
docker image inspect "$image" >/dev/null 2>&1 || fail "there is no image $image here." "Run 'just build-images', then run this again."
exec docker run --rm --init --network none --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
  --user "$(scripts/env.sh get BULKHEAD_UID):0" --volume "$PWD/models:/models:ro" --entrypoint registry "$image" "$@"
