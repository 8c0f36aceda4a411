#!/usr/bin/env bash
# Run the tests of the user's models, project/tests; what these need of Python packages is put into .venv first.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

if [[ -z $(find project/tests -name 'test_*.py' -print -quit 2>/dev/null) ]]; then
  say "project/tests has no tests"
  exit 0
fi
if grep -q '^[a-zA-Z0-9]' project/requirements.in; then
  # By the versions of .venv, which may be those of another Python than the images have.
  uv pip install --quiet --python .venv --requirement project/requirements.in --constraint requirements-dev.txt
fi
.venv/bin/pytest --override-ini=pythonpath=. --override-ini=testpaths=project/tests project/tests "$@"
