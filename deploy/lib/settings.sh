# shellcheck shell=bash
# shellcheck disable=SC2034 # read by those who source this
# The settings of the scripts: lines of NAME=VALUE, read and never executed. The settings of windlass itself are its own
# (.env, or the environment of the containers).

# What there is to set, with what holds otherwise. deploy.conf.example explains each.
BACKEND=local
ROOT=
REPLICAS=()
COMPOSE_FILES=(docker-compose.yml)
IMAGE=
APIS=2
WORKERS=2
SCHEDULERS=2
STATE=
BACKUPS=
BACKUPS_KEPT=14
BACKUP_PASSWORD_FILE=
READY_S=60
DRAIN_S=45
CONSUME_S=30
SCRATCH_PORT=6399

read_settings() { # read_settings FILE
    local file=$1 line name value number=0
    [ -r "$file" ] || refuse "no settings at $file: copy deploy/deploy.conf.example, or name a file with --conf"
    COMPOSE_FILES=()
    while IFS= read -r line || [ -n "$line" ]; do
        number=$((number + 1))
        line=${line%$'\r'}
        case $line in '' | \#*) continue ;; esac
        [[ $line == *=* ]] || refuse "$file:$number: not NAME=VALUE"
        name=${line%%=*} value=${line#*=}
        case $name in
            REPLICA) REPLICAS+=("$value") ;;
            COMPOSE_FILE) COMPOSE_FILES+=("$value") ;;
            BACKEND | ROOT | IMAGE | STATE | BACKUPS | BACKUP_PASSWORD_FILE) printf -v "$name" %s "$value" ;;
            APIS | WORKERS | SCHEDULERS | BACKUPS_KEPT | READY_S | DRAIN_S | CONSUME_S | SCRATCH_PORT)
                [[ $value =~ ^[0-9]{1,6}$ ]] || refuse "$file:$number: $name is a whole number"
                printf -v "$name" %s "$value"
                ;;
            *) refuse "$file:$number: no such setting: $name" ;;
        esac
    done <"$file"
    [ ${#COMPOSE_FILES[@]} -gt 0 ] || COMPOSE_FILES=(docker-compose.yml)
    [ -n "$ROOT" ] || refuse "$file: ROOT is missing"
    [ -d "$ROOT" ] || refuse "$file: ROOT: there is no folder $ROOT"
    case $BACKEND in
        local) [ ${#REPLICAS[@]} -gt 0 ] || refuse "$file: name the processes: REPLICA=api.1 127.0.0.1:8081" ;;
        compose) [ -n "$IMAGE" ] || refuse "$file: IMAGE is missing" ;;
        *) refuse "$file: BACKEND is local or compose" ;;
    esac
    [ "$BACKUPS_KEPT" -gt 0 ] || refuse "$file: BACKUPS_KEPT is at least 1"
    ROOT=$(cd "$ROOT" && pwd)
    STATE=${STATE:-$ROOT/state}
    BACKUPS=${BACKUPS:-$ROOT/backups}
    mkdir -p "$STATE"
    # Backups hold what customers trusted the shop with.
    (umask 077 && mkdir -p "$BACKUPS")
    RELEASES_LOG=$STATE/releases.log
}

# begin CONF: settings, the back end, and nobody else at work.
begin() {
    read_settings "$1"
    # shellcheck source=/dev/null
    source "$LIB/$BACKEND.sh"
}

# One script at a time changes an installation.
alone() {
    # One that a script called has its lock already.
    [ -z "${DEPLOY_LOCKED:-}" ] || return 0
    exec 9>"$STATE/lock"
    flock -n 9 || refuse "another deploy, rollback, backup or restore is at work ($STATE/lock)"
    export DEPLOY_LOCKED=1
}

# The release that runs, and the one to go back to; empty when there is none.
release() { if [ -f "$STATE/$1" ]; then cat "$STATE/$1"; fi; }

note_release() { # note_release current VERSION
    printf '%s\n' "$2" >"$STATE/$1.new"
    mv "$STATE/$1.new" "$STATE/$1"
}
