#!/usr/bin/env bash
# Start Bulkhead, building what is missing, and wait until it is healthy. Then say where it is and how to log in:
# up.sh [--verbose]
#
# Says a line for each image that is built and each service that starts; --verbose says what Docker says.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

verbose=${1:-}
setting() { scripts/env.sh get "$1"; }
present() { docker image inspect "$1" >/dev/null 2>&1; }

# A new .env reserves the clone's name and port on the engine. Later the engine is looked for where it does not answer.
[[ -e ${BULKHEAD_ENV_FILE:-.env} ]] || scripts/engine.sh
scripts/env.sh
tag=$(setting BULKHEAD_TAG)
tag=${tag:-latest}

images=$(python3 scripts/own_packages.py images)
mapfile -t images <<<"$images"
# revisions: of which commit each image was built, in their order; fails where one is not there.
revisions() {
  local tags=("${images[@]/#/bulkhead/}")
  docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' "${tags[@]/%/:$tag}" 2>/dev/null
}
missing=()
if ! revisions >/dev/null; then
  scripts/engine.sh
  for name in "${images[@]}"; do present "bulkhead/$name:$tag" || missing+=("$name"); done
fi
if [[ ${#missing[@]} -gt 0 ]]; then
  scripts/build-images.sh ${verbose:+"$verbose"} "${missing[@]}"
elif postgres=$(setting BULKHEAD_POSTGRES_IMAGE) && ! present "${postgres:-postgres:17}"; then
  scripts/base-images.sh
fi

# Images do not follow the code by themselves, and a stale one is a puzzle to whoever edits a step.
short() { echo "${1:0:12}${1:40}"; }
commit=$(scripts/commit.sh)
# The user's project is in the images of steps alone: an edit there makes no other image a stale one.
only_project=$(git diff --quiet HEAD -- . ':!project' ':!models' 2>/dev/null && echo yes || true)
stale=()
mapfile -t built_of < <(revisions)
for at in "${!images[@]}"; do
  name=${images[at]} built=${built_of[at]:-}
  [[ $built != "$commit" ]] || continue
  [[ -z $only_project || ${built%-dirty} != "${commit%-dirty}" || $name == trainer || $name == inference ]] || continue
  stale+=("$name (of $(short "$built"))")
done
[[ ${#stale[@]} -eq 0 ]] || say "not of this tree's commit $(short "$commit"): ${stale[*]}; 'just build-images' builds the images anew"

started=$SECONDS
compose_up ${verbose:+"$verbose"} ||
  fail "the stack did not become healthy." "Read 'just logs', fix what it says, then run 'just up' again."

# What failed long ago is evidence no more.
python3 scripts/reap.py

cat <<END

Bulkhead is up, after $((SECONDS - started)) s.
END
tell_address
