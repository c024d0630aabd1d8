# shellcheck shell=bash
# The two stores: where they are, dumped and restored through their own programs. Passwords go by the environment, never by
# the command line, which everybody on the host can read.

REDIS_ARGS=()
REDIS_DB=0
# Where the scratch Redis finds the one that serves.
LIVE_HOST='' LIVE_PORT='' LIVE_USER=default
NAMESPACE=windlass

percent_decoded() {
    local text=${1//\\/\\\\}
    printf '%b' "${text//%/\\x}"
}

percent_encoded() {
    local text=$1 i c
    for ((i = 0; i < ${#text}; i++)); do
        c=${text:i:1}
        case $c in [A-Za-z0-9._~-]) printf %s "$c" ;; *) printf '%%%02X' "'$c" ;; esac
    done
}

read_postgres_url() {
    local url=$1 form='^postgres(ql)?://([^:@/]*)(:([^@]*))?@([^/:?]*)(:([0-9]+))?/([^?]*)(\?(.*))?$' mode
    [[ $url =~ $form ]] || refuse "DATABASE_URL is no postgres://USER:PASSWORD@HOST/DATABASE: these scripts back up PostgreSQL"
    PGUSER=$(percent_decoded "${BASH_REMATCH[2]}") PGPASSWORD=$(percent_decoded "${BASH_REMATCH[4]}")
    PGHOST=${BASH_REMATCH[5]} PGPORT=${BASH_REMATCH[7]:-5432} PGDATABASE=$(percent_decoded "${BASH_REMATCH[8]}")
    mode=$(tr '&' '\n' <<<"${BASH_REMATCH[10]}" | sed -n 's/^sslmode=//p')
    export PGUSER PGPASSWORD PGHOST PGPORT PGDATABASE
    [ -z "$mode" ] || export PGSSLMODE=$mode
}

# postgres_url DATABASE: the address of another database of the same server.
postgres_url() {
    local password=
    [ -z "${PGPASSWORD:-}" ] || password=:$(percent_encoded "$PGPASSWORD")
    printf 'postgres://%s%s@%s:%s/%s%s\n' "$(percent_encoded "$PGUSER")" "$password" "$PGHOST" "$PGPORT" "$1" \
        "${PGSSLMODE:+?sslmode=$PGSSLMODE}"
}

read_redis_url() {
    local url=$1 form='^(rediss?)://(([^:@]*)(:([^@]*))?@)?([^/:]*)(:([0-9]+))?(/([0-9]*))?$'
    [[ $url =~ $form ]] || refuse "QUEUE_URL is no redis://USER:PASSWORD@HOST:PORT/DB: these scripts back up Redis"
    REDIS_DB=${BASH_REMATCH[10]:-0}
    LIVE_HOST=${BASH_REMATCH[6]:-127.0.0.1} LIVE_PORT=${BASH_REMATCH[8]:-6379}
    REDIS_ARGS=(-h "$LIVE_HOST" -p "$LIVE_PORT" -n "$REDIS_DB")
    [ "${BASH_REMATCH[1]}" = redis ] || REDIS_ARGS+=(--tls)
    redis_password "$(percent_decoded "${BASH_REMATCH[5]}")"
    if [ -n "${BASH_REMATCH[3]}" ]; then
        LIVE_USER=$(percent_decoded "${BASH_REMATCH[3]}")
        REDIS_ARGS+=(--user "$LIVE_USER")
    fi
}

# redis-cli sends an empty password too.
redis_password() {
    unset REDISCLI_AUTH
    if [ -n "$1" ]; then export REDISCLI_AUTH=$1; fi
}

sql() { # sql DATABASE STATEMENT
    pg psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$1" -c "$2"
}

# Rows of every table of the ledger, as `table count` lines.
COUNTS="SELECT table_name || ' ' || (xpath('/row/n/text()', query_to_xml(format('SELECT COUNT(*) AS n FROM %I.%I', \
table_schema, table_name), false, true, '')))[1] FROM information_schema.tables \
WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY table_name"

counts_of() { sql "$1" "$COUNTS"; }

# dump_ledger DUMP COUNTS: the ledger, and how many rows each of its tables has in the same moment.
dump_ledger() {
    local snapshot status=0 line
    coproc SESSION { pg psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$PGDATABASE" 2>"$2.err"; }
    # Bash forgets the coprocess's ends when it dies.
    local from=${SESSION[0]} to=${SESSION[1]} session=$SESSION_PID
    printf '%s\n' "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;" "SELECT pg_export_snapshot();" >&"$to"
    if ! IFS= read -r -t 30 snapshot <&"$from"; then
        fail "the ledger gives no snapshot: $(cat "$2.err")"
        return 1
    fi
    printf '%s;\n' "$COUNTS" "SELECT 'end'" >&"$to"
    while IFS= read -r -t 600 line <&"$from" && [ "$line" != end ]; do printf '%s\n' "$line"; done >"$2"
    [ "$line" = end ] || status=1
    pg pg_dump -Fc --no-owner --no-acl --snapshot "$snapshot" -d "$PGDATABASE" >"$1" || status=1
    printf 'COMMIT;\n\\q\n' >&"$to" || true
    wait "$session" 2>/dev/null || true
    rm -f "$2.err"
    return "$status"
}

# load_ledger DUMP DATABASE: into a new database of that name.
load_ledger() {
    sql postgres "CREATE DATABASE \"$2\" TEMPLATE template0 ENCODING 'UTF8'"
    pg pg_restore --no-owner --no-acl --exit-on-error --single-transaction -d "$2" <"$1"
}

drop_database() { sql postgres "DROP DATABASE IF EXISTS \"$1\" WITH (FORCE)"; }

# Both take the pattern of the keys. They are few: a job is a field of a hash.
# shellcheck disable=SC2034 # for restore
UNLINK="local n, at = 0, '0'
repeat
    local page = redis.call('SCAN', at, 'MATCH', ARGV[1], 'COUNT', 1000)
    at = page[1]
    for _, key in ipairs(page[2]) do n = n + redis.call('UNLINK', key) end
until at == '0'
return n"
# To a server that is named by host, port, database, user and password.
# shellcheck disable=SC2034 # for restore
COPY="local n, at = 0, '0'
local pattern, host, port, db, user, password = unpack(ARGV)
repeat
    local page = redis.call('SCAN', at, 'MATCH', pattern, 'COUNT', 1000)
    at = page[1]
    for _, key in ipairs(page[2]) do
        local call = {'MIGRATE', host, port, key, db, 60000, 'COPY', 'REPLACE'}
        if password and password ~= '' then
            for _, word in ipairs({'AUTH2', user, password}) do table.insert(call, word) end
        end
        redis.call(unpack(call))
        n = n + 1
    end
until at == '0'
return n"

# What Redis holds under our namespace, and how its keys begin.
prefix() { printf '{windlass:%s}:' "$NAMESPACE"; }
