#!/usr/bin/env bash
# Prints a C file that defines the table of cli/completion_files.h: embed_completions.sh SHELL=FILE...
set -euo pipefail

printf '/* Made by scripts/embed_completions.sh from completions/. */\n'
printf '#include "cli/completion_files.h"\n\nconst struct completion_file COMPLETION_FILES[] = {\n'
for pair in "$@"; do
    printf '    {.shell = "%s",\n     .text = ""\n' "${pair%%=*}"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/\t/\\t/g' -e 's/^/         "/' -e 's/$/\\n"/' "${pair#*=}"
    printf '    },\n'
done
printf '};\n\nconst size_t COMPLETION_FILE_COUNT = %d;\n' "$#"
