#!/usr/bin/env bash
# Everything that can be said about the code without running it. Changes nothing.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/engine.sh
scripts/setup.sh
export PATH=$PWD/.venv/bin:$PATH

ruff check
ruff format --check
# Each package from its own folder, whichever there are.
MYPYPATH=scripts:tests/box:$(printf '%s:' packages/*/src images/*/src)
export MYPYPATH=${MYPYPATH%:}
mypy
mapfile -t shell_files < <(find . -name .venv -prune -o -name .git -prune -o -name '*.sh' -print)
shellcheck --external-sources "${shell_files[@]}" .ci/run
just --unstable --fmt --check
# With settings of its own: the check says nothing about this clone's .env, and needs none.
settings=$(mktemp)
trap 'rm -f "$settings"' EXIT
BULKHEAD_ENV_FILE=$settings BULKHEAD_PROJECT=bulkhead-check scripts/env.sh 2>/dev/null
docker compose --env-file "$settings" config --quiet
BULKHEAD_HOSTS=1 docker compose --env-file "$settings" config --quiet
# A further host's settings come from the first one; any will do here.
env BULKHEAD_HOST_{NAME,DIR,CODE}=check BULKHEAD_HOST_ENV_FILE="$settings.host" bash -c "touch '$settings.host.told'
  docker compose --env-file '$settings' --file docker-compose.host.yaml config --quiet; rm '$settings.host.told'"
