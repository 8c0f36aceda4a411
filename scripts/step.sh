#!/usr/bin/env bash
# Run one step by hand in the very seal that Airflow gives it: step.sh IMAGE TASK [FLAG...]
#
# The run folder is shared/runs/debug, unless BULKHEAD_RUN_FOLDER names another below shared/runs. The step's identity
# (BULKHEAD_ENVIRONMENT, BULKHEAD_RUN_ID, ...) is passed on from this shell's environment where it is set. The log that it
# may write is log.txt for the trainer image and for decisions about models, and log_inference.txt for any other;
# BULKHEAD_PIPELINE=training or BULKHEAD_PIPELINE=inference says otherwise.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

[[ $# -ge 1 ]] || fail "usage: just step IMAGE TASK [FLAG...]" "For example: just step trainer preprocessing --source sample"
image=$1
shift
setting() { local value; value=$(scripts/env.sh get "$1"); echo "${value:-$2}"; }

scripts/engine.sh
scripts/env.sh
tagged=bulkhead/$image:$(setting BULKHEAD_TAG latest)
id=$(docker image inspect --format '{{.Id}}' "$tagged" 2>/dev/null) ||
  fail "there is no image $tagged here." "Run 'just build-images', then run this again."

folder=${BULKHEAD_RUN_FOLDER:-debug}
# What records call the folder is made of Airflow's names; by hand that is the folder's own name, if it needs no change.
[[ -n ${BULKHEAD_RUN_ID:-} || $folder =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$ ]] ||
  fail "BULKHEAD_RUN_FOLDER is '$folder', which is no plain name." "Use letters, digits, '.', '_' and '-', or set BULKHEAD_RUN_ID too."
run_folder=$PWD/shared/runs/$folder
mkdir -p "$run_folder"
[[ ! -O $run_folder ]] || chmod 0775 "$run_folder"

mounts=(--volume "$run_folder:/shared" --volume "$PWD/shared/inputs:/inputs:ro")
if [[ ${1:-} == train_model ]]; then
  mounts+=(--volume "$PWD/models:/models")
else
  # Only what publishes may write the registry; any other step reads it, and appends to its own log.
  case ${BULKHEAD_PIPELINE:-$image}:${1:-} in
    trainer:* | training:* | inference:check_model | inference:promote_model | inference:rollback_model) log=models/log.txt ;;
    *) log=models/log_inference.txt ;;
  esac
  # A bind needs the file to be there. 0664, because containers write it as group 0.
  [[ -e $log ]] || install -m 0664 /dev/null "$log"
  mounts+=(--volume "$PWD/models:/models:ro" --volume "$PWD/$log:/${log}")
fi

identity=(--env "BULKHEAD_IMAGE=${BULKHEAD_IMAGE:-$tagged@$id}")
# Records name the run folder by the run's id.
[[ -n ${BULKHEAD_RUN_ID:-} ]] || identity+=(--env "BULKHEAD_RUN_ID=$folder")
for name in ENVIRONMENT DAG_ID RUN_ID TASK_ID TRY_NUMBER MAP_INDEX; do
  variable=BULKHEAD_$name
  [[ -z ${!variable:-} ]] || identity+=(--env "$variable")
done

# As many threads as CPUs: the numerical libraries would start one for every core of the host.
cpus=$(setting BULKHEAD_STEP_CPUS 2)
threads=$(awk -v cpus="$cpus" 'BEGIN { n = int(cpus); if (n < cpus) n++; print (n < 1 ? 1 : n) }')
for name in OMP OPENBLAS MKL; do identity+=(--env "${name}_NUM_THREADS=$threads"); done
memory=$(setting BULKHEAD_STEP_MEMORY 2g)

# The same as images/airflow/src/bulkhead_airflow/seal.py, option by option.
exec docker run --rm --init --network none --read-only --tmpfs /tmp:size=256m,mode=1777 \
  --log-driver local --log-opt "max-size=$(setting BULKHEAD_STEP_LOG 1g)" --log-opt max-file=2 --log-opt compress=false \
  --cap-drop ALL --security-opt no-new-privileges --pids-limit "$(setting BULKHEAD_STEP_PIDS 256)" \
  --memory "$memory" --memory-swap "$memory" --cpus "$cpus" \
  --user "$(setting BULKHEAD_UID 50000):0" --label "io.bulkhead.project=$(setting BULKHEAD_PROJECT bulkhead)" \
  --label com.docker.compose.project= --label com.docker.compose.service= \
  "${mounts[@]}" "${identity[@]}" "$tagged" "$@"
