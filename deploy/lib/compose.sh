# shellcheck shell=bash
# shellcheck disable=SC2034 # read by the scripts that source this
# The back end of containers: docker compose in ROOT. A version is an image by its digest, IMAGE@sha256:..., so that what was
# tested is what runs. What it offers is listed in local.sh.
#
# A replica is a slot, such as worker.2, filled by whatever container took it last (STATE/slots). A new container is started
# beside the old one and is ready before that one is stopped.

# Fixed in docker-compose.yml.
NETWORK=windlass-inside
DRILL_REDIS=windlass-drill-redis
REDIS_IMAGE=redis:7.4.1-alpine

dc() { # IMAGE_NOW says which image services are made from.
    local files=() file
    for file in "${COMPOSE_FILES[@]}"; do files+=(-f "$file"); done
    (cd "$ROOT" && DEPLOY_IMAGE=${IMAGE_NOW:-$(release current)} docker compose "${files[@]}" "$@")
}

prepare() {
    [[ $1 =~ @sha256:[0-9a-f]{64}$ && ${1%@*} == "$IMAGE" ]] ||
        refuse "a version is an image by its digest: $IMAGE@sha256:..."
    docker image inspect "$1" >/dev/null 2>&1 || docker pull --quiet "$1" >/dev/null || refuse "there is no image $1"
    mkdir -p "$STATE/slots"
    # The stores are not replaced with a version; they are there before it.
    IMAGE_NOW=$1 dc up -d --no-recreate --wait postgres redis >/dev/null 2>&1 || refuse "postgres and redis do not come up"
}

complete() { IMAGE_NOW=$1 dc up -d --no-deps --no-recreate nginx >/dev/null 2>&1 || fail "nginx does not start"; }

tool() {
    local IMAGE_NOW=$1
    shift
    # Nothing listens at the address of its own that the service has: it works on the stores themselves.
    dc run --rm --no-deps -T "${TOOL_ENV[@]}" tool "$@" </dev/null
}
TOOL_ENV=()

replicas() {
    local role n
    for role in worker scheduler api; do
        case $role in worker) n=$WORKERS ;; scheduler) n=$SCHEDULERS ;; api) n=$APIS ;; esac
        for ((i = 1; i <= n; i++)); do printf '%s.%s\n' "$role" "$i"; done
    done
}

containers() { dc ps -q "$1" 2>/dev/null; }

# slot REPLICA: its container; a container that nobody has is taken by an empty slot.
slot() {
    local file=$STATE/slots/$1 id
    mkdir -p "$STATE/slots"
    if [ -f "$file" ]; then
        id=$(cat "$file")
        if docker inspect "$id" >/dev/null 2>&1; then
            printf '%s\n' "$id"
            return
        fi
        rm -f "$file"
    fi
    for id in $(containers "${1%%.*}"); do
        if ! grep -qsx "$id" "$STATE/slots/${1%%.*}".*; then
            printf '%s\n' "$id" | tee "$file"
            return
        fi
    done
}

running() {
    local id
    id=$(slot "$1")
    [ -n "$id" ] || return 0
    docker inspect -f '{{if .State.Running}}{{.Config.Image}}{{end}}' "$id"
}

ready() {
    local id
    id=$(slot "$1")
    [ -n "$id" ] && docker exec "$id" /windlass health >/dev/null 2>&1
}

replace() { # replace REPLICA VERSION HURRY
    # compose counts containers: one replica at a time.
    (
        flock 8
        replace_alone "$@"
    ) 8>"$STATE/replace.lock"
}

replace_alone() {
    local role=${1%%.*} old new='' id before n
    old=$(slot "$1")
    before=$(containers "$role")
    n=$(wc -w <<<"$before")
    IMAGE_NOW=$2 dc up -d --no-deps --no-recreate --scale "$role=$((n + 1))" "$role" >/dev/null 2>&1 || {
        fail "$1: no container of $2 can be started"
        return 1
    }
    for id in $(containers "$role"); do
        [[ " ${before//$'\n'/ } " == *" $id "* ]] || new=$id
    done
    [ -n "$new" ] || { fail "$1: compose started no container of $2"; return 1; }
    printf '%s\n' "$new" >"$STATE/slots/$1"
    if ! wait_ready "$1"; then
        # The old one never stopped serving.
        docker logs --tail 20 "$new" >&2 || true
        docker rm -f "$new" >/dev/null
        rm -f "$STATE/slots/$1"
        [ -z "$old" ] || printf '%s\n' "$old" >"$STATE/slots/$1"
        return 1
    fi
    [ -z "$old" ] || stop_container "$old" "$3"
}

# All new ones beside all that run, then all of those are stopped: for seconds there are twice as many.
replace_at_once() {
    (
        flock 8
        exchange "$@"
    ) 8>"$STATE/replace.lock"
}

exchange() { # exchange VERSION REPLICA...
    local version=$1 name role id before=' ' scales=() jobs=() failed=
    local -A old=() new=() wanted=()
    shift
    for name in "$@"; do
        role=${name%%.*}
        old[$name]=$(slot "$name")
        wanted[$role]=$((${wanted[$role]:-0} + 1))
    done
    for role in "${!wanted[@]}"; do
        id=$(containers "$role")
        before+="${id//$'\n'/ } "
        scales+=(--scale "$role=$(($(wc -w <<<"$id") + ${wanted[$role]}))")
    done
    IMAGE_NOW=$version dc up -d --no-deps --no-recreate "${scales[@]}" "${!wanted[@]}" >/dev/null 2>&1 || {
        fail "no containers of $version can be started"
        return 1
    }
    for name in "$@"; do
        for id in $(containers "${name%%.*}"); do
            [[ $before == *" $id "* ]] && continue
            before+="$id "
            new[$name]=$id
            printf '%s\n' "$id" >"$STATE/slots/$name"
            break
        done
        [ -n "${new[$name]:-}" ] || { fail "$name: compose started no container of $version" || failed=yes; }
    done
    for name in "$@"; do
        [ -n "$failed" ] || wait_ready "$name" || failed=yes
    done
    if [ -n "$failed" ]; then
        # What ran before never stopped.
        for name in "$@"; do
            [ -z "${new[$name]:-}" ] || docker rm -f "${new[$name]}" >/dev/null
            rm -f "$STATE/slots/$name"
            [ -z "${old[$name]}" ] || printf '%s\n' "${old[$name]}" >"$STATE/slots/$name"
        done
        return 1
    fi
    for name in "$@"; do
        if [ -n "${old[$name]}" ]; then
            stop_container "${old[$name]}" hurry &
            jobs+=($!)
        fi
    done
    all_end "${jobs[@]}"
}

stop_container() { # stop_container ID HURRY
    if [ -n "$2" ]; then
        docker kill -s TERM "$1" >/dev/null 2>&1 || true
        # Two signals at once may be heard as one.
        sleep 0.2
        docker kill -s TERM "$1" >/dev/null 2>&1 || true
    fi
    docker stop -t "$DRAIN_S" "$1" >/dev/null
    docker rm "$1" >/dev/null
}

halt() {
    dc stop -t "$DRAIN_S" api worker scheduler >/dev/null 2>&1
    # compose would start them again where new ones are asked for.
    dc rm -f api worker scheduler >/dev/null 2>&1
    rm -f "$STATE"/slots/*
}

# The stores are the containers postgres and redis, with the names of docker-compose.yml and the passwords of ROOT/secrets.
settings_of_stores() {
    local secrets=${DEPLOY_SECRETS:-$ROOT/secrets}
    export PGHOST=postgres PGPORT=5432 PGUSER=windlass PGDATABASE=windlass PGPASSWORD REDISCLI_AUTH
    PGPASSWORD=$(cat "$secrets/postgres_password")
    REDISCLI_AUTH=$(cat "$secrets/redis_password")
    LIVE_HOST=redis LIVE_PORT=6379
    REDIS_DB=0 REDIS_ARGS=(-n 0)
}

pg() { dc exec -T -e PGUSER="$PGUSER" postgres "$@"; }

redis() {
    # shellcheck disable=SC2016 # expands in the container
    dc exec -T redis sh -c 'REDISCLI_AUTH=$(cat /run/secrets/redis_password) exec redis-cli --no-auth-warning "$@"' sh \
        "${REDIS_ARGS[@]}" "$@"
}

fetch_rdb() {
    # shellcheck disable=SC2016 # expands in the container
    dc exec -T redis sh -c 'export REDISCLI_AUTH; REDISCLI_AUTH=$(cat /run/secrets/redis_password)
        trap "rm -f /tmp/backup.rdb" EXIT
        redis-cli --no-auth-warning --rdb /tmp/backup.rdb >/dev/null && cat /tmp/backup.rdb' >"$1"
}

scratch_redis() {
    docker rm -f "$DRILL_REDIS" >/dev/null 2>&1 || true
    docker create --name "$DRILL_REDIS" --network "$NETWORK" "$REDIS_IMAGE" redis-server --dir /data \
        --dbfilename carrier.rdb --appendonly no --save '' --maxmemory-policy noeviction >/dev/null
    chmod a+r "$1/carrier.rdb"
    docker cp "$1/carrier.rdb" "$DRILL_REDIS:/data/carrier.rdb" >/dev/null
    docker start "$DRILL_REDIS" >/dev/null
    SCRATCH_URL=redis://$DRILL_REDIS:6379/0
}

scratch() { docker exec -i "$DRILL_REDIS" redis-cli "$@"; }
scratch_end() { docker rm -f "$DRILL_REDIS" >/dev/null 2>&1 || true; }

tool_on() {
    local version=$1 database=$2
    shift 2
    # The scratch Redis asks for no password: that is told apart from the one that serves.
    local TOOL_ENV=(-e "DATABASE_URL=$database" -e "QUEUE_URL=$SCRATCH_URL" -e WINDLASS_ENV=development)
    tool "$version" "$@"
}
