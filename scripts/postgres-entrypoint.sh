#!/usr/bin/env bash
# Entrypoint of the postgres stand-in (scripts/base-images.sh): what Bulkhead uses of the official image's contract.
#
# In: POSTGRES_PASSWORD (required for a new cluster), POSTGRES_USER (postgres), POSTGRES_DB (the user's name), PGDATA.
# As root it makes PGDATA the postgres user's, then goes on as that user; an existing cluster is only started.
set -euo pipefail

if [[ $(id -u) -eq 0 ]]; then
  mkdir -p "$PGDATA" /var/run/postgresql
  chown -R postgres:postgres "$PGDATA" /var/run/postgresql
  chmod 0700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups "${BASH_SOURCE[0]}" "$@"
fi

if [[ ! -s $PGDATA/PG_VERSION ]]; then
  : "${POSTGRES_PASSWORD:?set POSTGRES_PASSWORD: a new cluster needs one}"
  user=${POSTGRES_USER:-postgres}
  database=${POSTGRES_DB:-$user}
  initdb --username="$user" --pwfile=<(printf '%s' "$POSTGRES_PASSWORD") --auth-host=scram-sha-256 --auth-local=trust --encoding=UTF8 >/dev/null
  printf "host all all all scram-sha-256\n" >>"$PGDATA/pg_hba.conf"
  printf "listen_addresses = '*'\n" >>"$PGDATA/postgresql.conf"
  # Reachable only by socket until the database is there: a health check over TCP must not pass too early.
  pg_ctl --pgdata="$PGDATA" --options="-c listen_addresses=''" --wait start >/dev/null
  [[ $database == postgres ]] || createdb --username="$user" --maintenance-db=postgres "$database"
  pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop >/dev/null
fi

exec "$@"
