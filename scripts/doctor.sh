#!/usr/bin/env bash
# Say whether what runs fits the project as it stands: after an edit, a merge from upstream, a change of locks.
#
# Exit: 0 all fits; 1 something does not, and the lines say what to do.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

[[ -e ${BULKHEAD_ENV_FILE:-.env} ]] || scripts/engine.sh
scripts/env.sh
tag=$(scripts/env.sh get BULKHEAD_TAG)
bad=0
present() { docker image inspect "$1" >/dev/null 2>&1; }
wrong() { printf 'doctor: %s\n' "$1" && bad=1; }

for image in trainer inference; do
  name=bulkhead/$image:${tag:-latest}
  present "$name" || scripts/engine.sh
  if ! present "$name"; then
    wrong "$name is not there. Run just build-images."
    continue
  fi
  # The folder as it stands, in the image as it is; then whether that is what the image holds.
  if said=$(docker run --rm --network none --read-only --tmpfs /tmp --volume "$PWD/project:/check/project:ro" \
    --volume "$PWD/models:/models:ro" --env PYTHONPATH=/check --env PYTHONDONTWRITEBYTECODE=1 \
    "$name" check_project --against /opt/bulkhead/lib/python3.13/site-packages/project 2>&1); then
    printf 'doctor: %s: %s\n' "$image" "$said"
  else
    wrong "$image: $said"
  fi
done
((bad)) || echo "doctor: all fits"
exit "$bad"
