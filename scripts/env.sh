#!/usr/bin/env bash
# Make .env once, and complete an old one: scripts/env.sh
# Say what a setting is, the environment before .env: scripts/env.sh get NAME
#
# A value that is there is never changed, but for BULKHEAD_HOST_DIR when the clone has moved. Secrets are random,
# and printed nowhere. The project's name and the port are reserved on the engine for this clone (scripts/project.sh); where
# another clone has the name, this fails with a sentence. A name that the environment gives (BULKHEAD_PROJECT) is for one
# command: it is not reserved. Also makes the folders that containers share with the host, writable for group 0, and
# .env.steps where .env limits single steps.
# shellcheck disable=SC2329  # the functions that make values are called by name, through setting()
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh
# shellcheck source=scripts/project.sh
source scripts/project.sh

readonly FILE=${BULKHEAD_ENV_FILE:-.env}
readonly HOST_DIR=$PWD

value_of() { [[ -f $FILE ]] && sed -n "s/^$1=//p" "$FILE" | tail -n 1 | sed "s/^'\(.*\)'\$/\1/"; }

if [[ ${1:-} == get ]]; then
  name=${2:?usage: scripts/env.sh get NAME}
  printf '%s\n' "${!name:-$(value_of "$name")}"
  exit 0
fi

# Its registry, settings and images are the first host's: nothing of a stack is made here.
[[ ! -e .env.host ]] || fail "this clone is a further host, by .env.host; nothing was changed." \
  "Run this on the first host. Here there are the recipes host-join, host-down, host-reap and host-logs; or remove .env.host."

random() { python3 -c "import secrets; print(secrets.token_urlsafe($1))"; }
# 32 bytes in URL-safe base64 with its padding: what Fernet takes.
fernet_key() { python3 -c 'import base64, secrets; print(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())'; }

container_uid() { if [[ $EUID -eq 0 ]]; then echo 50000; else id -u; fi; }

docker_gid() {
  local socket=${BULKHEAD_DOCKER_SOCKET:-$(value_of BULKHEAD_DOCKER_SOCKET)}
  socket=${socket:-/var/run/docker.sock}
  # Outside Linux the engine runs in a machine of its own, where the socket is group 0's.
  if [[ $(uname) == Linux && -S $socket ]]; then stat --dereference --format=%g "$socket"; else echo 0; fi
}

# free_ports: the ports from 8080 on that nobody listens on, on loopback.
free_ports() {
  python3 - <<'PYTHON'
import socket
for port in range(8080, 8180):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
PYTHON
}

# The first free port that no other clone has; without an engine to ask, the first free one.
port() {
  local port ports
  ports=$(free_ports)
  for port in $ports; do
    if [[ ! $reserving ]] || reserve "$(volume_of_port "$port")"; then
      echo "$port"
      return
    fi
  done
}

# `bulkhead`, unless another clone has that name, or a database goes by it already: then bulkhead-2, and so on.
project_name() {
  local name=bulkhead number=1
  if [[ ${BULKHEAD_PROJECT:-} ]]; then
    echo "$BULKHEAD_PROJECT"
    return
  fi
  until is_free "$name"; do
    number=$((number + 1))
    name=bulkhead-$number
  done
  echo "$name"
}

# is_free NAME: this clone may have the project's name, and has reserved it where there is an engine.
is_free() {
  # A new password is not that of a database that is there. Only a .env of the first versions has no name and a database.
  [[ $1 == bulkhead && ! ${made:-} ]] || ! docker volume inspect "${1}_database" >/dev/null 2>&1 || return 1
  [[ $reserving ]] || return 0
  ! other_owner "$1" >/dev/null && reserve "$(volume_of_project "$1")"
}

# What was reserved for the folder that this clone has moved from goes along; a copy leaves it to its original.
take_reservations_along() {
  local volume
  for volume in $(reservations_of "$1"); do
    docker volume rm "$volume" >/dev/null
    reserve "$volume" || true
  done
}

# setting NAME COMMAND...: the command's words become the value where .env has none.
setting() {
  local name=$1 value
  shift
  grep -q "^$name=" "$FILE" && return 0
  value=$("$@")
  [[ -n $value ]] || fail "no value could be made for $name." "Put a line $name=... into $FILE, then run this again."
  printf "%s='%s'\n" "$name" "$value" >>"$FILE"
  added+=("$name")
}

[[ $HOST_DIR != *[\':]* ]] || fail "the path of this clone holds a quote or a colon, which Docker cannot mount: $HOST_DIR" \
  "Move the clone, then run this again."

[[ -z ${BULKHEAD_PROJECT:-} ]] || refuse_other_owner "$BULKHEAD_PROJECT"

added=()
umask 077
if [[ ! -e $FILE ]]; then
  made=1
  printf '# Made by scripts/env.sh for this clone; secret, and not in git. .env.example explains each name.\n' >"$FILE"
fi
# An editor may have left the last line without its end.
[[ -z $(tail -c 1 "$FILE") ]] || printf '\n' >>"$FILE"

# Nothing is reserved for a name of one command, nor where no engine answers.
reserving=
[[ ${BULKHEAD_PROJECT:-} ]] || ! docker volume ls --quiet >/dev/null 2>&1 || reserving=1

old_dir=$(value_of BULKHEAD_HOST_DIR)
if [[ -n $old_dir && $old_dir != "$HOST_DIR" ]]; then
  if [[ $reserving ]] && ! is_here "$old_dir"; then
    ! is_clone "$old_dir" || fail "$FILE here in $HOST_DIR is a copy of that in $old_dir, where its clone still is; nothing was changed." \
      "Remove $FILE here: the next 'just up' makes one with a name, a port and secrets of its own."
    take_reservations_along "$old_dir"
  fi
  BULKHEAD_NEW_LINE="BULKHEAD_HOST_DIR='$HOST_DIR'" awk '/^BULKHEAD_HOST_DIR=/ { print ENVIRON["BULKHEAD_NEW_LINE"]; next } { print }' "$FILE" >"$FILE.new"
  mv "$FILE.new" "$FILE"
  say "this clone has moved: BULKHEAD_HOST_DIR in $FILE is now $HOST_DIR (it was $old_dir)"
fi

hosts=${BULKHEAD_HOSTS-$(value_of BULKHEAD_HOSTS)}
[[ -z $hosts || $hosts == 1 ]] || fail "BULKHEAD_HOSTS is '$hosts': it is 1, or unset." "Fix it in $FILE or in the environment, then run this again."

otel=${BULKHEAD_OTEL-$(value_of BULKHEAD_OTEL)}
endpoint=${BULKHEAD_OTEL_ENDPOINT-$(value_of BULKHEAD_OTEL_ENDPOINT)}
[[ -z $otel || $otel == 0 || ($otel == 1 && $endpoint =~ ^https?://.) ]] ||
  fail "BULKHEAD_OTEL is '$otel' and BULKHEAD_OTEL_ENDPOINT '$endpoint': metrics want 1, and http://HOST:4318." "Fix them in $FILE or in the environment, then run this again."

# Before anything is made: a refusal leaves .env as it is.
project=$(value_of BULKHEAD_PROJECT)
[[ -z $project || -z $reserving ]] || refuse_other_owner "$project"

setting BULKHEAD_HOST_DIR printf %s "$HOST_DIR"
setting BULKHEAD_PROJECT project_name
setting BULKHEAD_UID container_uid
setting BULKHEAD_DOCKER_GID docker_gid
setting BULKHEAD_PORT port
setting BULKHEAD_ADMIN_PASSWORD random 12
setting BULKHEAD_DB_PASSWORD random 24
setting BULKHEAD_JWT_SECRET random 48
setting BULKHEAD_API_SECRET_KEY random 32
setting BULKHEAD_FERNET_KEY fernet_key
setting BULKHEAD_DB_ADMIN_PASSWORD random 24
setting BULKHEAD_REGISTRAR_DB_PASSWORD random 24
setting BULKHEAD_REGISTRY_KEY random 32
setting BULKHEAD_HOSTS_KEY random 32
chmod 0600 "$FILE"

if [[ $reserving ]]; then
  # New ones where .env is of an earlier version, or of a time without an engine. A port set by hand may be shared.
  project=$(value_of BULKHEAD_PROJECT)
  reserve "$(volume_of_project "$project")" || refuse_other_owner "$project"
  reserve "$(volume_of_port "$(value_of BULKHEAD_PORT)")" || true
fi

# The limits of single steps, for whatever task is named, from $FILE and then from the environment, which wins:
# compose hands them to launcher and scheduler as a file, because it can only name what it passes on, and $FILE holds secrets.
step_limits() {
  local pattern='^BULKHEAD_STEP_(SECONDS|CPUS|MEMORY|DISK)_[A-Za-z0-9_]+' name
  grep -E "$pattern=." "$FILE" || true
  for name in $(compgen -e | grep -E "$pattern\$" || true); do
    [[ -z ${!name} ]] || printf "%s='%s'\n" "$name" "${!name}"
  done
}
limits=$(step_limits)
if [[ -n $limits ]]; then
  printf "# Made by scripts/env.sh: edit %s, then run 'just up'.\n%s\n" "${FILE##*/}" "$limits" >"$FILE.steps"
else
  rm -f "$FILE.steps"
fi

if [[ ${made:-} ]]; then
  say "made $FILE: project $(value_of BULKHEAD_PROJECT), user id $(value_of BULKHEAD_UID), port $(value_of BULKHEAD_PORT), random passwords and keys"
elif [[ ${#added[@]} -gt 0 ]]; then
  say "added to $FILE what it lacked: ${added[*]}"
fi

umask 022
for folder in models shared/inputs shared/inputs/.uploads{,/arriving} shared/runs shared/runs/debug; do
  mkdir -p "$folder"
  # Group 0 is every container's group; a folder of another owner stays as that owner set it.
  [[ -O $folder ]] && chmod 0775 "$folder"
done
exit 0
