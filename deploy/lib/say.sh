# shellcheck shell=bash
# What the scripts say, and where they write it down: a line for people on stderr, the same in the log of releases.

# The log of releases: time, what ran, version, what happened; a tab between each two.
RELEASES_LOG=${RELEASES_LOG:-}
# What runs, for the log: deploy, rollback, backup, restore.
WHAT=${WHAT:-$(basename "$0")}
VERSION=${VERSION:-}

now() { date -u +%Y-%m-%dT%H:%M:%SZ; }

say() {
    printf '%s: %s\n' "$WHAT" "$*" >&2
    if [ -n "$RELEASES_LOG" ]; then
        printf '%s\t%s\t%s\t%s\n' "$(now)" "$WHAT" "${VERSION:--}" "$*" >>"$RELEASES_LOG"
    fi
}

# 2 is for usage and settings, as with windlass itself.
refuse() {
    printf '%s: %s\n' "$WHAT" "$*" >&2
    exit 2
}

fail() {
    say "failed: $*"
    return 1
}

# Text as the inside of a JSON string.
json_text() {
    local text=$1
    text=${text//\\/\\\\}
    text=${text//\"/\\\"}
    text=${text//$'\n'/\\n}
    text=${text//$'\t'/\\t}
    printf '%s' "$text"
}

# json_field FILE NAME: the first string or number of that name in JSON that these scripts wrote.
json_field() {
    sed -n "s/^.*\"$2\": *\"\{0,1\}\([^\",}]*\)\"\{0,1\}.*\$/\1/p" "$1" | head -n 1
}
