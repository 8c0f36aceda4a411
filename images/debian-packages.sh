#!/bin/sh
# Install the Debian packages that a file names, one a line, '#' begins a comment: debian-packages.sh FILE
set -eu

packages=$(sed 's/#.*//' "$1")
# shellcheck disable=SC2086  # a list of words
set -- $packages
[ $# -gt 0 ] || exit 0

for name in "$@"; do
  case $name in
  *[!a-z0-9+.=:~-]* | -*)
    echo "project/apt.txt: '$name' is no name of a Debian package. Write one a line." >&2
    exit 1
    ;;
  esac
done

# Where a proxy opens TLS, its certificate is in the bundle.
trust=
[ ! -s /run/secrets/ca_bundle ] || trust="-o Acquire::https::CaInfo=/run/secrets/ca_bundle"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # none, or two words
apt-get $trust update -qq
# shellcheck disable=SC2086  # as above
apt-get $trust install -qq --yes --no-install-recommends "$@" || {
  echo "project/apt.txt: a package cannot be installed (above). Fix its name there, then build again." >&2
  exit 1
}
rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
