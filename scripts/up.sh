#!/usr/bin/env bash
# Start Bulkhead, building what is missing, and wait until it is healthy. Then say where it is and how to log in.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

setting() { scripts/env.sh get "$1"; }
present() { docker image inspect "$1" >/dev/null 2>&1; }

scripts/engine.sh
scripts/env.sh
tag=$(setting BULKHEAD_TAG)
tag=${tag:-latest}

images=$(python3 scripts/own_packages.py images)
mapfile -t images <<<"$images"
missing=()
for name in "${images[@]}"; do present "bulkhead/$name:$tag" || missing+=("$name"); done
if [[ ${#missing[@]} -gt 0 ]]; then
  scripts/build-images.sh "${missing[@]}"
elif postgres=$(setting BULKHEAD_POSTGRES_IMAGE) && ! present "${postgres:-postgres:17}"; then
  scripts/base-images.sh
fi

# Images do not follow the code by themselves, and a stale one is a puzzle to whoever edits a step.
short() { echo "${1:0:12}${1:40}"; }
commit=$(scripts/commit.sh)
# The user's project is in the images of steps alone: an edit there makes no other image a stale one.
only_project=$(git diff --quiet HEAD -- . ':!project' ':!models' 2>/dev/null && echo yes || true)
stale=()
for name in "${images[@]}"; do
  built=$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' "bulkhead/$name:$tag")
  [[ $built != "$commit" ]] || continue
  [[ -z $only_project || ${built%-dirty} != "${commit%-dirty}" || $name == trainer || $name == inference ]] || continue
  stale+=("$name (of $(short "$built"))")
done
[[ ${#stale[@]} -eq 0 ]] || say "not of this tree's commit $(short "$commit"): ${stale[*]}; 'just build-images' builds the images anew"

started=$SECONDS
docker compose up --detach --wait --quiet-pull ||
  fail "the stack did not become healthy." "Read 'just logs', fix what it says, then run 'just up' again."

# What failed long ago is evidence no more.
python3 scripts/reap.py

cat <<END

Bulkhead is up, after $((SECONDS - started)) s.
  address    http://localhost:$(setting BULKHEAD_PORT)
  user       admin
  password   $(setting BULKHEAD_ADMIN_PASSWORD)
END
