#!/bin/bash
# Whether a component of Airflow is healthy, as the API server sees it: healthy scheduler|triggerer|dag_processor|metadatabase
#
# The API server reads the heartbeats from the database, so one question serves every component. Without Python:
# this runs twice a second while five programs start, and an interpreter each time would slow them down.
set -eu
exec 3<>"/dev/tcp/${BULKHEAD_API_HOST:-api-server}/8080"
printf 'GET /api/v2/monitor/health HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
grep --quiet "\"$1\":{\"status\":\"healthy\"" <&3
