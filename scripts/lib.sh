# What the scripts share: how they speak, how they become root, where Debian packages come from.
# Sourced, never run.
# shellcheck shell=bash

say() { printf 'bulkhead: %s\n' "$*" >&2; }

# fail WHAT NEXT: one line each for what is wrong and what to do about it.
fail() {
  printf 'bulkhead: %s\n' "$@" >&2
  exit 1
}

run_as_root() {
  if [[ $EUID -eq 0 ]]; then "$@"; else sudo -- "$@"; fi
}

# allow_root_work WHAT: a root shell may go ahead; anybody else is asked, and no terminal means no.
allow_root_work() {
  [[ $EUID -eq 0 ]] && return 0
  command -v sudo >/dev/null || fail "$1 needs root, and you are neither root nor is sudo here." \
    "Have an administrator do it (README, \"A bare machine\"), then run this again."
  [[ -t 0 ]] || fail "$1 needs sudo and a yes, and there is no terminal to ask on." \
    "Run this in a terminal, or as root."
  local answer
  read -r -p "bulkhead: $1 needs sudo. Go ahead? [y/N] " answer
  [[ $answer == [yY]* ]] || fail "$1 was not done: you said no." "Do it yourself, then run this again."
}

# The Debian mirror that this machine's own apt is set up with; empty where there is none.
configured_mirror() {
  # shellcheck disable=SC2016  # apt's own placeholders, not the shell's
  apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(LABEL)' 'Created-By: Packages' 2>/dev/null |
    awk '$2 == "Debian" && $3 == "Debian" { print $1; exit }'
}

# Where Airflow is, and how to log in.
tell_address() {
  cat <<END
  address    http://localhost:$(scripts/env.sh get BULKHEAD_PORT)
  user       admin
  password   $(scripts/env.sh get BULKHEAD_ADMIN_PASSWORD)
END
}

# compose_up [--verbose] OPTION... [SERVICE...]: start services and wait until they are healthy, a line for each of them.
compose_up() {
  if [[ ${1:-} == --verbose ]]; then
    shift
    docker compose up --detach --wait --quiet-pull "$@"
  else
    python3 scripts/progress.py up "$(scripts/env.sh get BULKHEAD_PROJECT)" -- docker compose --progress plain up --detach --wait --quiet-pull "$@"
  fi
}
