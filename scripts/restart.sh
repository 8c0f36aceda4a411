#!/usr/bin/env bash
# Start services anew, by .env as it is now, and wait until they are healthy: restart.sh [--verbose] [SERVICE...]
#
# Without a name: all of them. A running step goes on; whoever waited for it finds it again.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

verbose='' services=()
for word in "$@"; do
  if [[ $word == --verbose ]]; then verbose=--verbose; else services+=("$word"); fi
done
[[ -e .env ]] || fail "there is no .env, so nothing of this clone runs." "Run 'just up', it makes one."
# A clone that has moved takes its name along first; the project of another is left alone.
scripts/env.sh
# A service alone: what it depends on stays as it is.
alone=()
[[ ${#services[@]} -eq 0 ]] || alone=(--no-deps "${services[@]}")
compose_up ${verbose:+"$verbose"} --force-recreate ${alone[@]+"${alone[@]}"} ||
  fail "not all of it became healthy." "Read 'just logs ${services[*]}', fix what it says, then run 'just restart' again."
