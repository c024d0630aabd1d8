# shellcheck shell=bash
# Replacing what runs, one replica after the other, and the proof that it works. Knows no back end by name.

wait_ready() { # wait_ready REPLICA
    local began=$SECONDS
    until ready "$1"; do
        [ -n "$(running "$1")" ] || { fail "$1 has ended; see its log"; return 1; }
        [ $((SECONDS - began)) -lt "$READY_S" ] || { fail "$1 is not ready after $READY_S s; see its log"; return 1; }
        sleep 0.1
    done
}

# roll VERSION ALL: every replica that runs something else, or ALL; stops at the first that does not come up.
roll() {
    local name was
    for name in $(replicas); do
        was=$(running "$name")
        if [ -z "$2" ] && [ "$was" = "$1" ] && ready "$name"; then continue; fi
        replace "$name" "$1" '' || return 1
        wait_ready "$name" || return 1
        say "$name: ${was:-stopped} -> $1, ready"
    done
}

# roll_at_once VERSION: for a rollback. Everything is hurried, and as much at once as goes without a gap.
roll_at_once() {
    local name names=()
    for name in $(replicas); do
        if [ "$(running "$name")" = "$1" ] && ready "$name"; then continue; fi
        names+=("$name")
    done
    [ ${#names[@]} -gt 0 ] || return 0
    replace_at_once "$1" "${names[@]}" || return 1
    for name in "${names[@]}"; do say "$name: $1, ready"; done
}

# all_end PID...: fails when one of them failed.
all_end() {
    local job failed=
    for job in "$@"; do wait "$job" || failed=yes; done
    [ -z "$failed" ]
}

# A job goes in and comes out completed: carrier, ledger and workers do their work together. It goes before what waits.
consumes() { # consumes VERSION
    local told began=$SECONDS wait
    wait=$((CONSUME_S < 30 ? CONSUME_S : 30))
    while :; do
        if told=$(tool "$1" enqueue noop --priority critical --wait "$wait" --json 2>/dev/null) && [[ $told == *'"state":"completed"'* ]]; then
            return 0
        fi
        [ $((SECONDS - began)) -lt "$CONSUME_S" ] || return 1
        sleep 0.2
    done
}
