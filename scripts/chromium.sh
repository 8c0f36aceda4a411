#!/usr/bin/env bash
# Make sure that there is a Chromium for the tests of the Models page; print its path.
#
# One that is there is taken: BULKHEAD_CHROMIUM, else `chromium` on PATH. A missing one is installed from the
# distribution's own packages, on Debian, as root or with sudo and a yes; Playwright downloads none.
# BULKHEAD_NO_BOOTSTRAP=1 forbids installing.
#
# Exit: 0 there is one; 1 there is none, and the last line says what to do.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"

found() { command -v "${BULKHEAD_CHROMIUM:-chromium}"; }

found && exit 0
readonly NEXT="Install Chromium, put it on PATH as 'chromium' or name it in BULKHEAD_CHROMIUM, then run this again."
[[ -z ${BULKHEAD_CHROMIUM:-} ]] || fail "BULKHEAD_CHROMIUM names $BULKHEAD_CHROMIUM, which is no program." "$NEXT"
[[ ${BULKHEAD_NO_BOOTSTRAP:-} != 1 ]] || fail "no Chromium here, and BULKHEAD_NO_BOOTSTRAP=1 forbids installing one." "$NEXT"
# Ubuntu's package of this name is a shim that fetches a snap.
id=$(source /etc/os-release 2>/dev/null && echo "${ID:-}" || true)
[[ $id == debian ]] || fail "no Chromium here, and this is not Debian." "$NEXT"

allow_root_work "installing Chromium for the browser tests"
say "installing chromium from the distribution's packages"
run_as_root apt-get update -qq
# Its output goes to stderr: stdout is the path.
run_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends chromium >&2 ||
  fail "apt-get could not install chromium." "Read its words above, fix that, then run this again."
hash -r
found || fail "apt-get installed chromium, and there is still none on PATH." "$NEXT"
