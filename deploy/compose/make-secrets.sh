#!/bin/sh
# make-secrets.sh [s3]: create the secrets of compose.yaml that do not exist yet: random values, one file each, ignored
# by git. With `s3`, the keys of the object store of that profile too.
#
# The folder is closed to other users of this machine. The files in it are readable to all, because a container's user
# is another one than yours, and it sees the file without the folder.
set -eu
folder=$(dirname "$0")/secrets
mkdir -p "$folder"
chmod 700 "$folder"

make() {
    if ! test -s "$folder/$1"; then
        rm -f "$folder/$1"
        printf '%s' "$2" > "$folder/$1"
        chmod 444 "$folder/$1"
    fi
}

random() {
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

make music_secret "$(random)"
make postgres_password "$(random)"
make dagster_postgres_url "postgresql://dagster:$(cat "$folder/postgres_password")@127.0.0.1:5432/dagster"
# Empty unless asked for: with keys in these files the platform uses no role of the machine's.
if test "${1:-}" = s3; then
    make aws_access_key_id "$(random | cut -c1-20)"
    make aws_secret_access_key "$(random)"
else
    make aws_access_key_id ""
    make aws_secret_access_key ""
fi
echo "Secrets are in $folder."
