#!/usr/bin/env bash
# The registry's command line, in the inference image, which can load models: registry.sh [ARGUMENT...]
#
# Sealed like a step, with as much of models/ and shared/ as the command needs: reading commands write nothing, deciding
# ones append to log.txt, and only repair and gc can change files. Who decides is the user of this shell, or BULKHEAD_BY.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

setting() { local value; value=$(scripts/env.sh get "$1"); echo "${value:-$2}"; }

scripts/engine.sh
scripts/env.sh
tagged=bulkhead/inference:$(setting BULKHEAD_TAG latest)
id=$(docker image inspect --format '{{.Id}}' "$tagged" 2>/dev/null) ||
  fail "there is no image $tagged here." "Run 'just build-images', then run this again."

verb='' value=''
for argument in "$@"; do
  case $argument in
    --models | --shared) value=1 ;;
    -*) value='' ;;
    *) [[ $value ]] || { verb=$argument && break; } && value='' ;;
  esac
done
case $verb in
  repair | gc)
    mounts=(--volume "$PWD/models:/models" --volume "$PWD/shared:/shared")
    ;;
  promote | rollback | revoke)
    # A bind needs the file to be there. 0664, because containers write it as group 0.
    [[ -e models/log.txt ]] || install -m 0664 /dev/null models/log.txt
    mounts=(--volume "$PWD/models:/models:ro" --volume "$PWD/models/log.txt:/models/log.txt" --volume "$PWD/shared:/shared:ro")
    ;;
  *)
    mounts=(--volume "$PWD/models:/models:ro" --volume "$PWD/shared:/shared:ro")
    ;;
esac

# Colours, and the terminal's width, only where a person reads: with a terminal Docker makes one stream of two.
terminal=()
[[ ! (-t 0 && -t 1 && -t 2) ]] || terminal=(--interactive --tty --env "TERM=${TERM:-xterm}" --env "NO_COLOR=${NO_COLOR:-}")

# A reader that has seen enough (| head), or Ctrl-C, ends Docker's client alone: without proxying signals at once and
# quietly, and the container here. --rm has removed one that ended by itself.
name=bulkhead-registry-$$-$RANDOM
trap 'docker kill --signal TERM "$name" >/dev/null 2>&1 || true' EXIT

memory=$(setting BULKHEAD_STEP_MEMORY 2g)
# No log: the engine would keep a copy of everything that is printed.
docker run --rm --init --name "$name" --sig-proxy=false --log-driver none ${terminal[@]+"${terminal[@]}"} \
  --network none --read-only --tmpfs /tmp:size=256m,mode=1777 \
  --cap-drop ALL --security-opt no-new-privileges --pids-limit "$(setting BULKHEAD_STEP_PIDS 256)" \
  --memory "$memory" --memory-swap "$memory" \
  --user "$(setting BULKHEAD_UID 50000):0" --label "io.bulkhead.project=$(setting BULKHEAD_PROJECT bulkhead)" \
  --env "BULKHEAD_BY=${BULKHEAD_BY:-$(id -un)}" --env "BULKHEAD_IMAGE=$tagged@$id" \
  --env "BULKHEAD_HOST_DIR=$PWD" --env "BULKHEAD_PORT=$(setting BULKHEAD_PORT 8080)" \
  "${mounts[@]}" --entrypoint registry "$tagged" "$@"
