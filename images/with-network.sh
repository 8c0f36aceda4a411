#!/bin/sh
# Run a command with what the build's secrets say about the network: with-network.sh COMMAND [ARGUMENT...]
#
# Every secret is optional, and an empty one counts as none:
#   ca_bundle                            certificates to trust, where a proxy opens TLS
#   uv_default_index, uv_index           a package mirror in place of, or beside, the public index
#   pip_index_url, pip_extra_index_url   the same in pip's words; each tool honours the other's too
# Secrets are mounted for one RUN and are in no layer, no history and no provenance.
set -eu

secret() { cat "/run/secrets/$1" 2>/dev/null || true; }

if [ -s /run/secrets/ca_bundle ]; then
  export SSL_CERT_FILE=/run/secrets/ca_bundle PIP_CERT=/run/secrets/ca_bundle
fi

uv_default=$(secret uv_default_index)
uv_extra=$(secret uv_index)
pip_default=$(secret pip_index_url)
pip_extra=$(secret pip_extra_index_url)

default=${uv_default:-$pip_default}
if [ -n "$default" ]; then
  export UV_DEFAULT_INDEX="$default" PIP_INDEX_URL="${pip_default:-$default}"
fi
extra=${uv_extra:-$pip_extra}
if [ -n "$extra" ]; then
  export UV_INDEX="$extra" PIP_EXTRA_INDEX_URL="${pip_extra:-$extra}"
fi

exec "$@"
