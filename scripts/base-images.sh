#!/usr/bin/env bash
# Make sure that the base images of compose and of the Dockerfiles are on this engine.
#
# An image that is here stays. A missing one is pulled. Where no container registry answers, a
# stand-in is built from Debian packages with debootstrap, under the same name; it carries the label
# io.bulkhead.stand-in, and the next run that can pull the real image replaces it.
#
# Exit: 0 both images are here; 1 one is not, and the last line says what to do.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"

python_image=$("$here/env.sh" get BULKHEAD_PYTHON_IMAGE)
postgres_image=$("$here/env.sh" get BULKHEAD_POSTGRES_IMAGE)
readonly PYTHON_IMAGE=${python_image:-python:3.13-slim-trixie}
readonly POSTGRES_IMAGE=${postgres_image:-postgres:17}
readonly STAND_IN=io.bulkhead.stand-in
# A registry behind a firewall that drops packets would otherwise hold us up for minutes.
readonly PULL_SECONDS=300
readonly RETRY_SECONDS=20

label_of() { docker image inspect --format "{{index .Config.Labels \"$STAND_IN\"}}" "$1" 2>/dev/null; }

# bootstrap_tree FOLDER PACKAGES: an unpacked trixie with those packages.
bootstrap_tree() {
  run_as_root debootstrap --variant=minbase --include="$2" trixie "$1" "$mirror" >"$work/debootstrap.log" 2>&1 || {
    tail -n 5 "$work/debootstrap.log" >&2
    fail "debootstrap could not unpack Debian trixie from this machine's mirror." "Fix what it says above, then run this again."
  }
}

# import_tree FOLDER IMAGE CHANGE...: the tree as a one-layer image; what only a person reads stays out.
import_tree() {
  local tree=$1 image=$2 change changes=()
  shift 2
  for change in "$@" "LABEL $STAND_IN=debootstrap"; do changes+=(--change "$change"); done
  run_as_root tar -C "$tree" --numeric-owner -c --exclude=./var/cache/apt/archives/*.deb --exclude=./var/lib/apt/lists/* \
    --exclude=./usr/share/doc/* --exclude=./usr/share/man/* --exclude=./usr/share/locale/* . |
    docker import "${changes[@]}" - "$image" >/dev/null
}

build_python() {
  bootstrap_tree "$work/python" ca-certificates,python3.13,python3.13-venv
  # The official image has its interpreter in /usr/local/bin, and the venvs of our images point there.
  local name
  for name in python python3 python3.13; do run_as_root ln -s /usr/bin/python3.13 "$work/python/usr/local/bin/$name"; done
  import_tree "$work/python" "$PYTHON_IMAGE" 'CMD ["python3"]' 'ENV LANG=C.UTF-8'
}

build_postgres() {
  bootstrap_tree "$work/postgres" postgresql-17
  run_as_root install -m 0755 "$here/postgres-entrypoint.sh" "$work/postgres/usr/local/bin/docker-entrypoint.sh"
  # The package makes a cluster of its own; ours is made by the entrypoint, in the volume.
  run_as_root rm -rf "$work/postgres/var/lib/postgresql/17"
  import_tree "$work/postgres" "$POSTGRES_IMAGE" 'ENTRYPOINT ["docker-entrypoint.sh"]' 'CMD ["postgres"]' \
    'ENV LANG=C.UTF-8 PGDATA=/var/lib/postgresql/data PATH=/usr/local/bin:/usr/lib/postgresql/17/bin:/usr/bin:/bin:/usr/sbin:/sbin' \
    'VOLUME /var/lib/postgresql/data' 'EXPOSE 5432' 'STOPSIGNAL SIGINT'
}

build_stand_in() {
  [[ ${BULKHEAD_NO_BOOTSTRAP:-} != 1 ]] || fail "$1 cannot be pulled, and BULKHEAD_NO_BOOTSTRAP=1 forbids building a stand-in." \
    "Make a container registry reachable, or load the image with 'docker load', then run this again."
  mirror=$(configured_mirror || true)
  [[ -n $mirror ]] || fail "$1 cannot be pulled, and a stand-in needs a Debian mirror, which this machine's apt does not have." \
    "Make a container registry reachable, or load the image with 'docker load', then run this again."
  allow_root_work "building a stand-in for $1"
  command -v debootstrap >/dev/null || {
    say "installing debootstrap from the distribution's packages"
    run_as_root apt-get update -qq
    run_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends debootstrap >/dev/null
  }
  work=$(mktemp -d)
  trap 'run_as_root rm -rf "$work"' EXIT
  say "$1: no container registry answers; building a stand-in from Debian trixie packages (about 30 s)"
  "$2"
  run_as_root rm -rf "$work"
  trap - EXIT
}

# ensure IMAGE BUILDER: the image is here when this returns.
ensure() {
  local label
  if label=$(label_of "$1"); then
    [[ -n $label ]] || return 0
    timeout "$RETRY_SECONDS" docker pull --quiet "$1" >/dev/null 2>&1 && say "$1: the real image replaces the stand-in"
    return 0
  fi
  say "$1: pulling"
  timeout "$PULL_SECONDS" docker pull --quiet "$1" >/dev/null 2>&1 || build_stand_in "$1" "$2"
}

ensure "$PYTHON_IMAGE" build_python
ensure "$POSTGRES_IMAGE" build_postgres
