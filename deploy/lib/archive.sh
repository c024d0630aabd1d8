# shellcheck shell=bash
# A backup as a folder: sealed with checksums, opened, forgotten, and told of.

# What a backup is of, each a file.
KINDS=(ledger carrier)
CIPHER=(-aes-256-cbc -pbkdf2 -iter 200000 -md sha256)

file_of() { # file_of FOLDER KIND
    local file
    case $2 in ledger) file=$1/ledger.dump ;; carrier) file=$1/carrier.rdb ;; esac
    if [ -f "$file.enc" ]; then file=$file.enc; fi
    printf '%s\n' "$file"
}

seal() { # seal FOLDER TAKEN_AT VERSION
    local folder=$1 kind file
    if [ -n "$BACKUP_PASSWORD_FILE" ]; then
        for kind in "${KINDS[@]}"; do
            file=$(file_of "$folder" "$kind")
            openssl enc "${CIPHER[@]}" -salt -pass "file:$BACKUP_PASSWORD_FILE" -in "$file" -out "$file.enc"
            rm -f "$file"
        done
    fi
    printf '{"taken_at":"%s","release":"%s","namespace":"%s","redis_db":%s}\n' "$2" "$(json_text "$3")" \
        "$(json_text "$NAMESPACE")" "$REDIS_DB" >"$folder/manifest.json"
    (cd "$folder" && sha256sum -- * >SHA256SUMS && sync -- *)
}

# unseal FOLDER INTO: checks every file, and leaves them readable in INTO.
unseal() {
    local kind file
    (cd "$1" && sha256sum --quiet --strict -c SHA256SUMS) || { fail "$1 is damaged"; return 1; }
    for kind in "${KINDS[@]}"; do
        file=$(file_of "$1" "$kind")
        if [[ $file == *.enc ]]; then
            [ -n "$BACKUP_PASSWORD_FILE" ] || refuse "$1 is encrypted: BACKUP_PASSWORD_FILE is missing"
            openssl enc -d "${CIPHER[@]}" -pass "file:$BACKUP_PASSWORD_FILE" -in "$file" \
                -out "$2/$(basename "${file%.enc}")" || { fail "another password than that of $1"; return 1; }
        else
            cp "$file" "$2/"
        fi
    done
    cp "$1/rows" "$1/manifest.json" "$2/"
}

backups() { find "$BACKUPS" -mindepth 1 -maxdepth 1 -type d -name '[0-9]*T[0-9]*Z' | sort; }
newest_backup() { backups | tail -n 1; }

forget_old() {
    local folder
    backups | head -n "-$BACKUPS_KEPT" | while IFS= read -r folder; do
        rm -rf "$folder"
        say "forgot $folder: $BACKUPS_KEPT are kept"
    done
}

# note_status FOLDER VERIFIED_AT: what monitors read. The moment of the last drill stays until there is another.
note_status() {
    local kind file verified=null status=$STATE/backup-status.json lines=()
    [ -z "$2" ] || verified="\"$2\""
    for kind in "${KINDS[@]}"; do
        file=$(file_of "$1" "$kind")
        lines+=("$(printf '{"kind":"%s","taken_at":"%s","bytes":%s,"sha256":"%s","where":"%s","verified_at":%s}' "$kind" \
            "$(json_field "$1/manifest.json" taken_at)" "$(wc -c <"$file")" "$(sha256sum "$file" | cut -d ' ' -f 1)" \
            "$(json_text "$file")" "$verified")")
    done
    (IFS=, && printf '{"backups":[%s]}\n' "${lines[*]}") >"$status.new"
    chmod a+r "$status.new"
    mv "$status.new" "$status"
}

# report FOLDER VERIFIED_AT: to windlass, where the version that serves takes reports.
report() {
    local kind file version args
    version=$(release current)
    [ -n "$version" ] || return 0
    tool "$version" backups --help >/dev/null 2>&1 || return 0
    for kind in "${KINDS[@]}"; do
        file=$(file_of "$1" "$kind")
        args=(--kind "$kind" --taken-at "$(json_field "$1/manifest.json" taken_at)" --bytes "$(wc -c <"$file")"
            --sha256 "$(sha256sum "$file" | cut -d ' ' -f 1)" --where "$file")
        [ -z "$2" ] || args+=(--verified-at "$2")
        tool "$version" backups record "${args[@]}" >/dev/null ||
            say "windlass did not take the report of $file: backup_check will miss it"
    done
}
