#!/usr/bin/env bash
# Stop Airflow, its database, launcher and registrar, unless they are another clone's. A running step ends by itself, and
# what it proposes is recorded after the next start; volumes stay.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh
# shellcheck source=scripts/project.sh
source scripts/project.sh

# A clone that has moved takes its name along first.
[[ ! -e .env ]] || scripts/env.sh
project=$(scripts/env.sh get BULKHEAD_PROJECT)
refuse_other_owner "${project:-bulkhead}"
docker compose down
