#!/usr/bin/env bash
# Build the images, after making sure of the engine, .env and the base images: build-images.sh [--verbose] [NAME...]
#
# Says a line for each stage of each image, and of what fails everything; --verbose says what Docker says.
#
# A name is a folder of images/; without one, all are built. Takes from this machine what a build may need, and bakes none
# of it in: the CA bundle (SSL_CERT_FILE, or the distribution's own) and the index variables of uv and pip as secrets,
# because a build argument would show in the provenance; the proxy variables as Docker's predefined arguments, which stay
# out of the image's history.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

setting() { local value; value=$(scripts/env.sh get "$1"); echo "${value:-$2}"; }

mapfile -t images < <(python3 scripts/own_packages.py images)
verbose='' names=()
for name in "$@"; do
  [[ $name != --verbose ]] || { verbose=1 && continue; }
  names+=("$name")
  [[ " ${images[*]} " == *" $name "* ]] ||
    fail "there is no image '$name': images/ has no such folder with a pyproject.toml." "The images are: ${images[*]}."
done
[[ ${#names[@]} -gt 0 ]] || names=("${images[@]}")

scripts/engine.sh
scripts/env.sh
scripts/base-images.sh

# The user's models; tests build with a copy of the folder as it comes.
project=${BULKHEAD_PROJECT_FOLDER:-project}
common=(--load --file images/Dockerfile)
common+=(--build-context "project=$project")
common+=(--build-arg "PYTHON_IMAGE=$(setting BULKHEAD_PYTHON_IMAGE python:3.13-slim-trixie)")
for variable in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
  [[ -z ${!variable:-} ]] || common+=(--build-arg "$variable")
done
for variable in UV_DEFAULT_INDEX UV_INDEX PIP_INDEX_URL PIP_EXTRA_INDEX_URL; do
  [[ -z ${!variable:-} ]] || common+=(--secret "id=${variable,,},env=$variable")
done
# The machine's bundle holds its company's certificate where there is one; Debian's path, then RedHat's.
for bundle in "$(scripts/env.sh get BULKHEAD_CA_BUNDLE)" "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
  [[ -n $bundle && -r $bundle ]] || continue
  # An empty file, such as /dev/null, means none.
  [[ ! -s $bundle ]] || common+=(--secret "id=ca_bundle,src=$bundle")
  break
done
commit=$(scripts/commit.sh)
tag=$(setting BULKHEAD_TAG latest)

# build IMAGE OPTION...: buildx, with its progress for people unless it is wanted as it comes.
build() {
  local image=$1
  shift
  if [[ $verbose || ${BULKHEAD_PROGRESS:-} ]]; then
    docker buildx build --progress "${BULKHEAD_PROGRESS:-auto}" "$@"
  else
    python3 scripts/progress.py build "$image" -- docker buildx build --progress plain "$@"
  fi
}

say "building ${names[*]}, commit ${commit:0:12}"
steps=()
for name in "${names[@]}"; do
  # An image that starts from more than its kind does has a stage of its own name.
  kind=$(python3 scripts/own_packages.py kind "$name")
  ! grep -q "^FROM .* AS $name\$" images/Dockerfile || kind=$name
  built=$tag
  # An image of steps has its tag only once it has shown that it can use the project: what is in use stays until then.
  [[ $kind != step ]] || { steps+=("$name") && built=$tag.unproven; }
  build "$name" "${common[@]}" --tag "bulkhead/$name:$built" \
    --build-arg "IMAGE=$name" --build-arg "KIND=$kind" --build-arg "GIT_COMMIT=$commit" \
    --build-arg "DESCRIPTION=$(python3 scripts/own_packages.py description "$name")" \
    --build-arg "VERSION=$(python3 scripts/own_packages.py version "$name")" . ||
    fail "the image $name was not built." "Fix what the lines above say, then run 'just build-images $name' again."
done

# Whatever is trained can be served: each of the two imports all that the project asks for.
drop_unproven() { for name in ${steps[@]+"${steps[@]}"}; do docker rmi "bulkhead/$name:$tag.unproven" >/dev/null 2>&1 || true; done; }
trap drop_unproven EXIT
for name in ${steps[@]+"${steps[@]}"}; do
  docker run --rm --network none --read-only --tmpfs /tmp "bulkhead/$name:$tag.unproven" check_project ||
    fail "the image $name cannot use the folder $project (above); the images from before stay in use." \
      "Fix it there, then run 'just build-images' again."
done
# Both or none: what is trained must be served.
for name in ${steps[@]+"${steps[@]}"}; do docker tag "bulkhead/$name:$tag.unproven" "bulkhead/$name:$tag"; done
