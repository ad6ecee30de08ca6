#!/usr/bin/env bash
# Prints a C file that defines the table of db/migrations.h from the SQL files given in order.
# A number that is missing or twice is found here, at build time.
set -euo pipefail

printf '/* Made by db/embed_migrations.sh from db/migrations/. */\n'
printf '#include "db/migrations.h"\n\nconst struct migration MIGRATIONS[] = {\n'
version=0
for file in "$@"; do
    base=$(basename "$file" .sql)
    version=$((version + 1))
    if [[ ! $base =~ ^[0-9]{4}_[a-z0-9_]+$ ]] || ((10#${base%%_*} != version)); then
        printf '%s: expected a name like %04d_what_it_adds.sql\n' "$file" "$version" >&2
        exit 1
    fi
    printf '    {.version = %d,\n     .name = "%s",\n     .sql =\n' "$version" "${base#*_}"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/         "/' -e 's/$/\\n"/' "$file"
    printf '    },\n'
done
printf '};\n\nconst size_t MIGRATION_COUNT = %d;\n' "$version"
