# shellcheck shell=bash
# The back end of processes on this host. A version is a folder, ROOT/versions/VERSION, with the program `windlass` and
# `schedules/`; the settings of windlass are in ROOT/.env, where every process runs.
#
# It is the stand-in for containers where there are none, and serves one host without systemd. Both back ends offer:
#   prepare VERSION               is it there? fetch it
#   tool VERSION ARGS...          one command of windlass of that version, on the stores themselves
#   replicas                      names of all, in the order in which they are replaced
#   running REPLICA               the version that it runs; empty: none
#   replace REPLICA VERSION HURRY stop it (softly unless HURRY) and start that version
#   replace_at_once VERSION REPLICA...
#                                 the same for all of them, hurried, side by side as far as that leaves no gap, until all are ready
#   ready REPLICA                 whether it says that it is ready
#   complete VERSION              start what stands before the replicas
#   halt                          stop all
#   settings_of_stores            sets PG* for libpq and REDIS_* for redis-cli; see stores.sh

# How long a process may take after the second signal, which hurries it: what runs is given back, and no attempt is used. A
# front door closes as soon as no caller has a connection left from before, and answers who has asked: it may take DRAIN_S.
HURRY_S=5

prepare() {
    [[ $1 =~ ^[A-Za-z0-9._-]+$ ]] || refuse "a version is a name of letters, digits, . _ and -"
    [ -x "$ROOT/versions/$1/windlass" ] || refuse "there is no program $ROOT/versions/$1/windlass"
    mkdir -p "$ROOT/run" "$ROOT/log"
}

# Nothing else belongs to a version.
complete() { :; }

# Where nobody listens: a tool works on the stores itself and needs no key.
NOWHERE=127.0.0.1:9

tool() {
    local version=$1
    shift
    (cd "$ROOT" && WINDLASS_SCHEDULES=$ROOT/versions/$version/schedules WINDLASS_LISTEN=$NOWHERE \
        WINDLASS_METRICS_LISTEN='' WINDLASS_SERVER='' "$ROOT/versions/$version/windlass" "$@")
}

replicas() {
    local role entry
    # Workers first: a new front door hands in kinds that an old worker does not know.
    for role in worker scheduler api; do
        for entry in "${REPLICAS[@]}"; do
            [[ $entry == "$role".* ]] && printf '%s\n' "${entry%% *}"
        done
    done
    return 0
}

address_of() {
    local entry
    for entry in "${REPLICAS[@]}"; do
        [ "${entry%% *}" = "$1" ] && printf '%s\n' "${entry##* }"
    done
    return 0
}

# state and start of a process: its id may have been given to another since.
birth_of() { sed -n 's/^.*) \([A-Za-z]\) \(.*\)$/\1 \2/p' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 1,20; }

lives() { # lives PID BIRTH
    local state birth
    read -r state birth < <(birth_of "$1") || return 1
    [ "$state" != Z ] && [ "$birth" = "$2" ]
}

running() {
    local pid birth version
    [ -f "$ROOT/run/$1" ] || return 0
    read -r pid birth version <"$ROOT/run/$1"
    if lives "$pid" "$birth"; then printf '%s\n' "$version"; fi
}

stop_one() { # stop_one REPLICA HURRY
    local pid birth began hurry_s=$HURRY_S
    [ -f "$ROOT/run/$1" ] || return 0
    if [[ $1 == api.* ]] && [ -n "$2" ]; then hurry_s=$DRAIN_S; fi
    read -r pid birth _ <"$ROOT/run/$1"
    if lives "$pid" "$birth"; then
        kill -TERM "$pid" 2>/dev/null || true
        began=$SECONDS
        if [ -n "$2" ]; then
            # Two signals at once may be heard as one.
            sleep 0.2
        else
            while lives "$pid" "$birth" && [ $((SECONDS - began)) -lt "$DRAIN_S" ]; do sleep 0.05; done
        fi
        if lives "$pid" "$birth"; then
            [ -n "$2" ] || say "$1 does not end within $DRAIN_S s: it gives back what it runs"
            kill -TERM "$pid" 2>/dev/null || true
            began=$SECONDS
            while lives "$pid" "$birth" && [ $((SECONDS - began)) -lt "$hurry_s" ]; do sleep 0.05; done
        fi
        if lives "$pid" "$birth"; then
            say "$1 does not hear: killed; its jobs run again when their leases end"
            kill -KILL "$pid" 2>/dev/null || true
            while lives "$pid" "$birth"; do sleep 0.05; done
        fi
    fi
    rm -f "$ROOT/run/$1"
}

start_one() { # start_one REPLICA VERSION
    local name=$1 version=$2 role=${1%%.*} address pid listen=--metrics-listen
    address=$(address_of "$name")
    [ "$role" != api ] || listen=--listen
    (
        cd "$ROOT" || exit 1
        # Neither the lock nor anything else of ours is for the process.
        exec 9>&-
        exec env -u DEPLOY_LOCKED WINDLASS_SCHEDULES="$ROOT/versions/$version/schedules" setsid \
            "$ROOT/versions/$version/windlass" "$role" "$listen" "$address" \
            </dev/null >>"$ROOT/log/$name.log" 2>&1
    ) &
    pid=$!
    printf '%s %s %s\n' "$pid" "$(birth_of "$pid" | cut -d ' ' -f 2)" "$version" >"$ROOT/run/$name"
}

replace() {
    stop_one "$1" "$3"
    start_one "$1" "$2"
}

replace_at_once() {
    local version=$1 name jobs=() doors=() half turn
    shift
    for name in "$@"; do
        if [[ $name == api.* ]]; then
            doors+=("$name")
        else
            # It needs no turn: its jobs wait, none is lost.
            replace_and_wait "$name" "$version" &
            jobs+=($!)
        fi
    done
    # A port has one process at a time: the other half of the doors serves meanwhile.
    half=$(((${#doors[@]} + 1) / 2))
    for turn in 0 "$half"; do
        replace_doors "$version" "${doors[@]:turn:half}" || return 1
    done
    all_end "${jobs[@]}"
}

replace_doors() { # replace_doors VERSION REPLICA...
    local version=$1 name jobs=()
    shift
    for name in "$@"; do
        replace_and_wait "$name" "$version" &
        jobs+=($!)
    done
    all_end "${jobs[@]}"
}

replace_and_wait() { replace "$1" "$2" hurry && wait_ready "$1"; }

ready() {
    local version
    version=$(running "$1")
    [ -n "$version" ] || return 1
    (cd "$ROOT" && "$ROOT/versions/$version/windlass" health --url "http://$(address_of "$1")" >/dev/null 2>&1)
}

halt() {
    local name
    for name in $(replicas); do stop_one "$name" ''; done
}

# What ROOT/.env or the environment says, the latter first; NAME_FILE names a file that holds it.
setting() {
    local name=$1 value file
    value=${!name:-}
    [ -n "$value" ] || value=$(dotenv "$name")
    if [ -z "$value" ]; then
        file=${name}_FILE
        file=${!file:-$(dotenv "${name}_FILE")}
        [ -z "$file" ] || value=$(cd "$ROOT" && cat "$file")
    fi
    printf '%s\n' "$value"
}

dotenv() {
    local value
    [ -f "$ROOT/.env" ] || return 0
    value=$(sed -n "s/^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}$1=//p" "$ROOT/.env" | head -n 1)
    case $value in
        \"*\") value=${value#\"} value=${value%\"} ;;
        \'*\') value=${value#\'} value=${value%\'} ;;
    esac
    printf '%s\n' "$value"
}

settings_of_stores() {
    local url port
    url=$(setting DATABASE_URL)
    if [ -n "$url" ]; then
        read_postgres_url "$url"
    else
        PGHOST=$(setting POSTGRES_HOST) PGPORT=$(setting POSTGRES_PORT) PGDATABASE=$(setting POSTGRES_DB)
        PGUSER=$(setting POSTGRES_USER) PGPASSWORD=$(setting POSTGRES_PASSWORD)
        export PGHOST PGPORT=${PGPORT:-5432} PGDATABASE PGUSER PGPASSWORD
    fi
    url=$(setting QUEUE_URL)
    if [ -n "$url" ]; then
        [[ $url != *,* ]] || refuse "the queue is spread over several servers: back each up by itself"
        read_redis_url "$url"
    else
        port=$(setting REDIS_PORT) REDIS_DB=$(setting REDIS_DB)
        REDIS_DB=${REDIS_DB:-0}
        LIVE_HOST=$(setting REDIS_HOST) LIVE_PORT=${port:-6379}
        REDIS_ARGS=(-h "$LIVE_HOST" -p "$LIVE_PORT" -n "$REDIS_DB")
        redis_password "$(setting REDIS_PASSWORD)"
    fi
    NAMESPACE=$(setting QUEUE_NAMESPACE)
    NAMESPACE=${NAMESPACE:-windlass}
}

pg() { "$@"; }
redis() { redis-cli --no-auth-warning "${REDIS_ARGS[@]}" "$@"; }
fetch_rdb() { redis --rdb "$1" >/dev/null; }

# scratch_redis FOLDER: a Redis of its own on FOLDER/carrier.rdb; sets SCRATCH_URL and SCRATCH_ARGS.
scratch_redis() {
    redis-server --bind 127.0.0.1 --port "$SCRATCH_PORT" --dir "$1" --dbfilename carrier.rdb --appendonly no \
        --save '' --maxmemory-policy noeviction --daemonize yes --pidfile "$1/redis.pid" --logfile "$1/redis.log" >/dev/null
    SCRATCH_ARGS=(-h 127.0.0.1 -p "$SCRATCH_PORT" -n "$REDIS_DB")
    SCRATCH_URL=redis://127.0.0.1:$SCRATCH_PORT/$REDIS_DB
}

scratch() { env -u REDISCLI_AUTH redis-cli "${SCRATCH_ARGS[@]}" "$@"; }
scratch_end() { scratch shutdown nosave >/dev/null 2>&1 || true; }

# tool_on VERSION DATABASE_URL ARGS...: as tool, on a scratch ledger and the scratch carrier.
tool_on() {
    local version=$1 database=$2
    shift 2
    (
        unset PGHOST PGPORT PGDATABASE PGUSER PGPASSWORD REDISCLI_AUTH
        export DATABASE_URL_FILE='' QUEUE_URL_FILE='' DATABASE_URL=$database QUEUE_URL=$SCRATCH_URL
        tool "$version" "$@"
    )
}
