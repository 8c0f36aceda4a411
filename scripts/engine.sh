#!/usr/bin/env bash
# Make sure that a Docker engine with compose and buildx answers on this machine.
#
# An engine that answers is left as it is, in silence. A stopped one is started. A missing one is
# installed from the distribution's own packages, on Debian and Ubuntu, as root or with sudo and a yes.
# BULKHEAD_NO_BOOTSTRAP=1 forbids installing and starting: then this only checks.
#
# Exit: 0 the engine answers; 1 it does not, and the last line says what to do.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"

readonly DAEMON_LOG=/var/log/bulkhead-dockerd.log
readonly TRIXIE_LIST=/etc/apt/sources.list.d/bulkhead-trixie.sources
readonly TRIXIE_PIN=/etc/apt/preferences.d/bulkhead-trixie

engine_answers() { docker info >/dev/null 2>&1; }
plugins_answer() { docker compose version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1; }
# Both in one question, which every recipe asks: 0.1 s instead of 0.3 s. A client that cannot answer it is asked apart.
all_answer() {
  local found
  found=$(docker info --format '{{.ServerVersion}} {{range .ClientInfo.Plugins}}{{if not .Err}}{{.Name}} {{end}}{{end}}' 2>/dev/null) || return 1
  [[ $found == [0-9]*' buildx '* && $found == *' compose '* ]]
}
# An engine that DOCKER_HOST or a context puts elsewhere is not ours to install or start here.
engine_is_remote() {
  local host=${DOCKER_HOST:-$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || true)}
  [[ -n $host && $host != unix:///var/run/docker.sock ]]
}

# known PACKAGE: apt has it to install.
known() { LC_ALL=C apt-cache policy "$1" | grep -q '^  Candidate: [^(]'; }

install_on_debian() {
  local id codename packages=(docker.io docker-cli docker-compose docker-buildx)
  # shellcheck source=/dev/null
  read -r id codename < <(source /etc/os-release && echo "$ID ${VERSION_CODENAME:-none}")
  [[ $id != ubuntu ]] || packages=(docker.io docker-compose-v2 docker-buildx)
  run_as_root apt-get update -qq
  if [[ $id == debian ]] && ! { known docker-cli && known docker-buildx; }; then
    # Debian 12's own engine is 20.10, with neither plugin. Priority 100 keeps every package that is not
    # asked for by name at the machine's own release; and asked for one by one, as NAME/trixie, they
    # bring nothing else of trixie along (with --target-release libc6 and base-files would be upgraded).
    local mirror
    mirror=$(configured_mirror)
    [[ -n $mirror ]] || fail "apt knows no Debian mirror on this machine." \
      "Add one to /etc/apt/sources.list, run apt-get update, then run this again."
    say "adding the suite trixie to apt, with pin priority 100 (what apt has, $codename, is too old an engine)"
    printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
      "$mirror" | run_as_root tee "$TRIXIE_LIST" >/dev/null
    printf 'Package: *\nPin: release n=trixie\nPin-Priority: 100\n' | run_as_root tee "$TRIXIE_PIN" >/dev/null
    run_as_root apt-get update -qq
    packages=("${packages[@]/%//trixie}")
  fi
  packages+=(iptables)
  say "installing ${packages[*]} from the distribution's packages"
  run_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${packages[@]}" >/dev/null ||
    fail "apt-get could not install the engine." "Read its words above, fix that, then run this again."
}

install_engine() {
  local family
  # shellcheck source=/dev/null
  family=$(source /etc/os-release 2>/dev/null && echo "${ID:-} ${ID_LIKE:-}" || true)
  if [[ " $family " != *" debian "* && " $family " != *" ubuntu "* ]]; then
    fail "no Docker engine with compose and buildx here, and this is not Debian or Ubuntu." \
      "Install Docker Engine 25 or newer with the compose and buildx plugins (docs.docker.com/engine/install), then run this again."
  fi
  allow_root_work "installing the Docker engine"
  install_on_debian
  hash -r
}

# A daemon that died without clean-up leaves pid files that keep the next one from starting.
remove_dead_pid_files() {
  local file pid
  for file in /var/run/docker.pid /var/run/docker/containerd/containerd.pid; do
    run_as_root test -f "$file" || continue
    pid=$(run_as_root cat "$file")
    case $(cat "/proc/$pid/comm" 2>/dev/null) in
      dockerd | containerd) ;;
      *) say "removing $file, left by a daemon that died" && run_as_root rm -f "$file" ;;
    esac
  done
}

start_engine() {
  allow_root_work "starting the Docker engine"
  if [[ -d /run/systemd/system ]]; then
    say "starting the engine with systemd"
    run_as_root systemctl start docker
  else
    remove_dead_pid_files
    say "starting dockerd (no systemd here); its log is $DAEMON_LOG"
    # A session of its own: the engine outlives this shell and its terminal.
    run_as_root sh -c "setsid nohup dockerd >>$DAEMON_LOG 2>&1 </dev/null &"
  fi
  local tries
  for ((tries = 0; tries < 120; tries++)); do
    run_as_root docker info >/dev/null 2>&1 && return 0
    sleep 0.5
  done
  [[ -f $DAEMON_LOG ]] && run_as_root tail -n 5 "$DAEMON_LOG" >&2
  fail "the Docker engine did not answer within 60 s." "Read its log ($DAEMON_LOG or journalctl -u docker), then run this again."
}

command -v docker >/dev/null && { all_answer || { engine_answers && plugins_answer; }; } && exit 0

if [[ ${BULKHEAD_NO_BOOTSTRAP:-} == 1 ]]; then
  fail "no Docker engine with compose and buildx answers, and BULKHEAD_NO_BOOTSTRAP=1 forbids installing one." \
    "Install or start Docker Engine with both plugins, or unset BULKHEAD_NO_BOOTSTRAP, then run this again."
fi
if engine_is_remote; then
  fail "the engine at ${DOCKER_HOST:-the current docker context} does not answer, or the compose and buildx plugins are missing." \
    "Bulkhead installs and starts only an engine of this machine: fix that one, or unset DOCKER_HOST and run 'docker context use default'."
fi

{ command -v dockerd >/dev/null && plugins_answer; } || install_engine
engine_answers || run_as_root docker info >/dev/null 2>&1 || start_engine
plugins_answer || fail "docker compose or docker buildx still does not answer (client: $(command -v docker))." \
  "Put the client of the installed engine first on PATH, or remove the other one, then run this again."
engine_answers || fail "the engine runs, but this user may not use it." \
  "Run: sudo usermod -aG docker \"\$USER\" and log in again."
say "the engine answers: $(docker version --format '{{.Server.Version}}'), compose $(docker compose version --short)"
