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

missing=()
for name in airflow trainer inference; do present "bulkhead/$name:$tag" || missing+=("$name"); done
if [[ ${#missing[@]} -gt 0 ]]; then
  scripts/build-images.sh "${missing[@]}"
elif postgres=$(setting BULKHEAD_POSTGRES_IMAGE) && ! present "${postgres:-postgres:17}"; then
  scripts/base-images.sh
fi

# Images do not follow the code by themselves, and a stale one is a puzzle to whoever edits a step.
built=$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' "bulkhead/trainer:$tag")
[[ $built == "$(scripts/commit.sh)" ]] || say "the images are of commit ${built:0:12}, this tree is not; 'just build-images' builds them anew"

started=$SECONDS
docker compose up --detach --wait --quiet-pull ||
  fail "the stack did not become healthy." "Read 'just logs', fix what it says, then run 'just up' again."

# What a crash of everything may have left behind.
python3 scripts/reap.py

cat <<END

Bulkhead is up, after $((SECONDS - started)) s.
  address    http://localhost:$(setting BULKHEAD_PORT)
  user       admin
  password   $(setting BULKHEAD_ADMIN_PASSWORD)
END
