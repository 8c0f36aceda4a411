#!/usr/bin/env bash
# Take away what Bulkhead made on this machine, after saying what and asking: clean.sh [--yes]
#
# Never models/, shared/inputs or shared/runs: those are yours. Things are found by their labels, so that this works
# without .env too.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh
# shellcheck source=scripts/project.sh
source scripts/project.sh

# A clone that has moved takes its name along first.
[[ ! -e .env ]] || scripts/env.sh
mapfile -t reservations < <(reservations_of "$PWD")
project=$(scripts/env.sh get BULKHEAD_PROJECT)
for volume in "${reservations[@]}"; do [[ $volume != *_reserved ]] || project=${project:-${volume%_reserved}}; done
project=${project:-bulkhead}
refuse_other_owner "$project"
tag=$(scripts/env.sh get BULKHEAD_TAG)
tag=${tag:-latest}
label=com.docker.compose.project=$project

# An image that compose built hands its project label to every container; the config hash is only on compose's own.
# Steps carry a label of Bulkhead's.
mapfile -t containers < <({
  docker ps --all --quiet --filter "label=$label" --filter label=com.docker.compose.config-hash
  docker ps --all --quiet --filter "label=io.bulkhead.project=$project"
} | sort --unique)
mapfile -t volumes < <(docker volume ls --quiet --filter "label=$label")
mapfile -t networks < <(docker network ls --quiet --filter "label=$label")
mapfile -t images < <(docker image ls --format '{{.Repository}}:{{.Tag}}' --filter "reference=bulkhead/*:$tag")
files=()
for file in .env .env.steps .venv; do [[ ! -e $file ]] || files+=("$file"); done

cat <<END
This removes, of the project $project:
  ${#containers[@]} containers, ${#networks[@]} networks
  ${#volumes[@]} volumes, with Airflow's database, task logs and sockets: ${volumes[*]:-none}
  the reservation of its name and port: ${reservations[*]:-none}
  ${#images[@]} images: ${images[*]:-none}
  files: ${files[*]:-none}
It leaves models/, shared/inputs/ and shared/runs/ as they are.
END

if [[ ${1:-} != --yes ]]; then
  [[ -t 0 ]] || fail "there is no terminal to ask on, so nothing was removed." "Run 'just clean --yes' to remove it without asking."
  read -r -p "Go ahead? [y/N] " answer
  [[ $answer == [yY]* ]] || fail "nothing was removed: you said no." "Run 'just clean' again when you are sure."
fi

# remove COMMAND... -- THING...: the command on the things, if there are any.
remove() {
  local command=()
  while [[ $1 != -- ]]; do command+=("$1") && shift; done
  shift
  [[ $# -eq 0 ]] || "${command[@]}" "$@" >/dev/null
}
remove docker rm --force -- "${containers[@]}"
remove docker network rm -- "${networks[@]}"
remove docker volume rm -- "${volumes[@]}"
remove docker image rm -- "${images[@]}" || say "an image is still used by another project's containers, and stays"
remove rm -rf -- "${files[@]}"
# Last: until everything is gone, nobody else may take the name.
remove docker volume rm -- "${reservations[@]}"
say "done"
