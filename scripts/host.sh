#!/usr/bin/env bash
# On a further host: host.sh join [CODE] | down | reap | logs [SERVICE...]
#
# join: fetch what the first host tells of itself, write .env.host, start worker, launcher and link, and say whether this
# host takes work. CODE is what `just host-add NAME` printed there; without it, .env.host has it from before.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

readonly FILE=${BULKHEAD_HOST_ENV_FILE:-.env.host}
compose() { docker compose --env-file "$FILE" --file docker-compose.host.yaml "$@"; }
value_of() { [[ -f $FILE ]] && sed -n "s/^$1=//p" "$FILE" | tail -n 1 | sed "s/^'\(.*\)'\$/\1/"; }
told() { sed -n "s/^$1='\(.*\)'\$/\1/p" "$FILE.told"; }
kept() { local now=${!1:-}; echo "${now:-$(value_of "$1")}"; }

join() {
  local code=${1:-$(value_of BULKHEAD_HOST_CODE)} tag name image said missing=()
  [[ -n $code ]] || fail "no code is given, and $FILE has none." "Run 'just host-add NAME' on the first host, and here what that prints."
  scripts/engine.sh
  tag=$(kept BULKHEAD_TAG)
  for image in airflow launcher trainer inference; do
    docker image inspect "bulkhead/$image:${tag:-latest}" >/dev/null 2>&1 || missing+=("bulkhead/$image:${tag:-latest}")
  done
  [[ ${#missing[@]} -eq 0 ]] || fail "these images are not here: ${missing[*]}." \
    "Load them from the first host: docker save ${missing[*]} | ssh THIS_HOST docker load (run it there)."
  for name in models shared; do
    [[ -d $name ]] || fail "there is no folder $name/ here." "Mount the first host's there (docs/hosts.md), then run this again."
  done

  umask 077
  said=$(BULKHEAD_HOST_CODE=$code docker run --rm --env BULKHEAD_HOST_CODE --entrypoint hosts-link ${BULKHEAD_HOST_NETWORK:+--network "$BULKHEAD_HOST_NETWORK"} \
    "bulkhead/airflow:${tag:-latest}" settings) || exit 1
  printf '# What the first host tells, fetched by scripts/host.sh: edit its .env, then run just host-join here.\n%s\n' "$said" >"$FILE.told"
  {
    printf '# Made by scripts/host.sh for this host; secret, and not in git.\n'
    printf "BULKHEAD_HOST_CODE='%s'\nBULKHEAD_HOST_NAME='%s'\nBULKHEAD_HOST_DIR='%s'\n" "$code" "${code%%:*}" "${BULKHEAD_HOST_DIR:-$PWD}"
    printf "BULKHEAD_DOCKER_GID='%s'\n" "$(socket_group)"
    for name in BULKHEAD_PROJECT BULKHEAD_UID; do printf "%s='%s'\n" "$name" "$(told $name)"; done
    printf "BULKHEAD_TAG='%s'\n" "${tag:-$(told BULKHEAD_TAG)}"
    # This host's own, which a person may have set.
    for name in BULKHEAD_STEP_SLOTS BULKHEAD_HOST_CPUS BULKHEAD_HOST_MEMORY BULKHEAD_DOCKER_SOCKET; do
      [[ -z $(kept $name) ]] || printf "%s='%s'\n" "$name" "$(kept $name)"
    done
  } >"$FILE.new"
  mv "$FILE.new" "$FILE"

  compose up --detach --wait --quiet-pull --force-recreate || fail "the services of this host did not become healthy." \
    "Read 'just host-logs', fix what it says, then run 'just host-join' again."
  reap
  local tries status=
  # Its folders are looked at with the second report.
  for ((tries = 0; tries < 30; tries++)); do
    status=$(compose exec -T worker cat /tmp/host-worker-reported)
    [[ $status == "takes work"* ]] && break
    sleep 1
  done
  say "the host ${code%%:*}: $status"
  [[ $status == "takes work"* ]] || fail "this host takes no work." "Do what the line above says: the host looks again every few seconds."
}

# What failed long ago is evidence no more.
reap() { BULKHEAD_ENV_FILE=$FILE python3 scripts/reap.py; }

socket_group() {
  local socket
  socket=$(kept BULKHEAD_DOCKER_SOCKET)
  socket=${socket:-/var/run/docker.sock}
  if [[ $(uname) == Linux && -S $socket ]]; then stat --dereference --format=%g "$socket"; else echo 0; fi
}

case ${1:-} in
  join) shift && join "$@" ;;
  down) compose down ;;
  reap) reap ;;
  logs) shift && compose logs --follow --tail 200 "$@" ;;
  *) fail "host.sh takes join, down, reap or logs." "Run 'just' for what there is." ;;
esac
