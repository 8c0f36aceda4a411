#!/usr/bin/env bash
# Build the images, after making sure of the engine, .env and the base images: build-images.sh [NAME...]
#
# Takes from this machine what a build may need, and bakes none of it in: the CA bundle (SSL_CERT_FILE, or the
# distribution's own), the index variables of uv and pip, the proxy variables.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

scripts/engine.sh
scripts/env.sh
scripts/base-images.sh

# The machine's bundle holds its company's certificate where there is one; Debian's path, then RedHat's.
for bundle in "$(scripts/env.sh get BULKHEAD_CA_BUNDLE)" "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
  [[ -n $bundle && -r $bundle ]] || continue
  export BULKHEAD_CA_BUNDLE=$bundle
  break
done
GIT_COMMIT=$(scripts/commit.sh)
export GIT_COMMIT

names=("$@")
[[ ${#names[@]} -gt 0 ]] || names=(airflow trainer inference)
say "building ${names[*]}, commit ${GIT_COMMIT:0:12}"
# All of Airflow's services share one image; `init` is the one that builds it.
docker compose --progress "${BULKHEAD_PROGRESS:-auto}" build "${names[@]/#airflow/init}"
