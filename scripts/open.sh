#!/usr/bin/env bash
# Say where Airflow is and how to log in, and open it in a browser where there is a display.
#
# Exit: 0 it answers; 1 it does not.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

port=$(scripts/env.sh get BULKHEAD_PORT)
[[ -n $port ]] || fail "there is no .env, so nothing of this clone runs." "Run 'just up', it makes one."
(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || fail "nothing answers at http://localhost:$port." "Run 'just up', then this again."
tell_address
# A browser's own words are no part of the answer.
if [[ $(uname) == Darwin ]]; then
  open "http://localhost:$port" >/dev/null 2>&1 || true
elif [[ -n ${DISPLAY:-}${WAYLAND_DISPLAY:-} ]] && command -v xdg-open >/dev/null; then
  xdg-open "http://localhost:$port" >/dev/null 2>&1 || true
fi
