# Whose a compose project is: several clones may share one engine, and each has a project name and a port of its own.
# Sourced after lib.sh, with the clone as working folder; never run.
# shellcheck shell=bash
#
# A reservation is an empty volume with the clone's folder as a label. The engine makes a volume under a lock, and where
# there is one of that name already, it leaves its label as it is: so the label says who came first, whatever others tried.
# docs/decisions/0015-a-project-name-is-reserved.md has the reasons.

readonly OWNER_LABEL=io.bulkhead.clone

# What reserves a project's name, and a port.
volume_of_project() { echo "$1_reserved"; }
volume_of_port() { echo "bulkhead-port-$1"; }

# reserved_by VOLUME: the folder of the clone that has it; fails where there is no such volume.
reserved_by() { docker volume inspect --format "{{index .Labels \"$OWNER_LABEL\"}}" "$1" 2>/dev/null; }

# reserve VOLUME: this clone has it when this succeeds. Without an engine nothing is reserved, and that fails too.
reserve() {
  ! is_here "$(reserved_by "$1")" || return 0
  docker volume create --label "$OWNER_LABEL=$PWD" "$1" >/dev/null 2>&1 || return 1
  is_here "$(reserved_by "$1")"
}

# reservations_of FOLDER: the volumes that reserve something for the clone there.
reservations_of() {
  local volume folder
  while read -r volume folder; do
    if [[ $folder == "$1" || $folder -ef $1 ]]; then echo "$volume"; fi
  done < <(docker volume ls --filter "label=$OWNER_LABEL" --format "{{.Name}} {{.Label \"$OWNER_LABEL\"}}" 2>/dev/null)
}

# The folders that the containers of compose's project were started from.
folders_of_containers() {
  # The config hash is only on compose's own: an image of an earlier version hands its project label to every container.
  docker ps --all --filter "label=com.docker.compose.project=$1" --filter label=com.docker.compose.config-hash \
    --format '{{.Label "com.docker.compose.project.working_dir"}}' 2>/dev/null | sort --unique
}

# By whatever path: a link to this clone is this clone.
is_here() { [[ $1 == "$PWD" || $1 -ef $PWD ]]; }

# is_clone FOLDER: there is a clone with settings, or this user may not look whether there is.
is_clone() {
  local folder=$1
  [[ ! -e $folder/.env ]] || return 0
  while [[ ! -e $folder && $folder == */* && $folder != / ]]; do folder=$(dirname "$folder"); done
  [[ ! -x $folder ]]
}

# other_owner PROJECT: the folder of another clone that has the project; fails where this clone has it, or nobody.
# A folder that is a clone no more, because it was moved or deleted, owns no containers.
other_owner() {
  local folder
  if folder=$(reserved_by "$(volume_of_project "$1")") && [[ -n $folder ]] && ! is_here "$folder"; then
    echo "$folder"
    return 0
  fi
  while IFS= read -r folder; do
    if [[ -n $folder ]] && ! is_here "$folder" && is_clone "$folder"; then
      echo "$folder"
      return 0
    fi
  done < <(folders_of_containers "$1")
  return 1
}

# refuse_other_owner PROJECT: end with a sentence where another clone has the project.
refuse_other_owner() {
  local folder
  ! folder=$(other_owner "$1") || fail "the project $1 belongs to the clone in $folder, not to this one in $PWD; nothing was changed." \
    "Take BULKHEAD_PROJECT and BULKHEAD_PORT out of .env here and out of the environment, and 'just up' finds others. If the other clone is gone: docker volume rm $(volume_of_project "$1")."
}
