#!/usr/bin/env bash
# The house rules that a program can check (the rest is in CONTRIBUTING.md). Run by `make check` and,
# as a suite, by `make test`; tests/tidy.bats proves for each rule that it can fail.
#
#   tests/tidy.sh [FOLDER]     checks the tree at FOLDER (default: this one)
#   tests/tidy.sh --rules      names the rules
#
# A finding is one line, "rule: file:line: what is wrong"; exit 1 when there is any. A new rule is a
# row of RULES and a function that prints what it finds as "file:line: text".
set -uo pipefail

# ---- the rules ----

#      name        what it keeps
RULES=(
    "include       INCLUDE_TABLE: which folder may include which"
    "place         what stands in one place only: sqlite3, ncurses, fork, the clock…"
    "banned        calls that overflow, block, or hide failure"
    "length        a function has at most 70 lines, a file at most 800"
    "typedef       struct and enum tags are written out, no typedef of one"
    "opening       every source file opens with a comment that says what it owns"
    "guard         a header's guard is its path"
    "alone         every header compiles by itself"
    "table         a .def file holds rows and comments, no two rows alike"
    "words         open ends are NEEDSWORK: with a question, nothing else"
    "document      a document that is named is there"
    "machine       no path of somebody's machine"
    "folder        every folder at the top is one of TOP_FOLDERS"
    "runner        every test lies where the runner looks for it"
    "corpus        every fuzz target has a corpus"
    "script        scripts are executable and say what they are for"
    "auto          what is released by itself is initialised where it is declared"
    "log           what log_event() is given is key=value, of the conversions it knows"
    "global        no variable at file scope but the log level"
)

# Folder: what it may include. A name with a slash is that one header.
INCLUDE_TABLE=(
    "common:     common"
    "db:         common db"
    "scripts:    common cli scripts man/prose.def tui/keys.def"
    "supervisor: common db supervisor"
    "hip:        common hip tests/emulator/gpu_emulator.h tests/emulator/gpu_emulator_mma.h"
    "watch:      common watch"
    "gpu:        common gpu"
    "tui:        common tui"
    "cli:        common cli tui/tui.h"
    "fetch:      common fetch"
    "tests:      common db supervisor hip watch gpu fetch tui cli tests"
)

# Extended regular expression @ where alone it may stand (a prefix of the path).
PLACE_TABLE=(
    '#include <(n?curses|ncursesw/.*)\.h> @ tui/screen.c'
    '#include <sqlite3\.h> @ db/'
    '#include <confuse\.h> @ common/config'
    '#include <llhttp\.h> @ common/http/'
    '#include <pcre2\.h> @ hip/text/'
    '\b(dlopen|dlsym)\( @ hip/backend/gpu_library.c|hip/backend/gpu_abort.c|gpu/nvml.c|cli/line_editor.c'
    '#include <curl/.*\.h> @ fetch/'
    '\b(fork|vfork|posix_spawnp?|clone3?)\( @ common/spawn.c'
    '\b(clock_gettime|gettimeofday|time|ftime)\( @ common/clock'
)

# Call: what to use instead.
BANNED_TABLE=(
    "sprintf:snprintf or buf_printf" "vsprintf:vsnprintf" "strcpy:snprintf or memcpy" "strcat:a buf"
    "strncpy:snprintf" "strncat:a buf" "gets:getline" "strtok:strtok_r" "atoi:units_parse_integer"
    "atol:units_parse_integer" "atof:units_parse_number" "system:spawn_process" "popen:spawn_process"
    "rand:a generator with a seed of its own" "srand:a generator of its own"
    "random:a generator of its own" "sleep:an event with a deadline" "usleep:an event with a deadline"
    "nanosleep:an event with a deadline" "alloca:a buf"
    "strdup:xstrdup" "strndup:xstrndup" "asprintf:xasprintf" "tmpnam:mkstemp" "mktemp:mkstemp"
    "localtime:clock_format_rfc3339" "gmtime:gmtime_r" "strerror:%m"
)

TOP_FOLDERS="cli common completions db fetch gpu hip man packaging scripts supervisor tests tui watch"
FUNCTION_MAX_LINES=70
FILE_MAX_LINES=800
# Mutable variables outside functions, each with its reason.
#   log_level_shown   the log level
#   buf_nothing       the empty text of every empty buf; nobody writes it
#   clock_moved       how far a test has moved the process's clock
#   gpu_abort_end     what a signal handler says, and of whom
GLOBALS="log_level_shown buf_nothing clock_moved gpu_abort_end"

# ---- what the rules look at ----

if [ "${1:-}" = --rules ]; then
    printf '%s\n' "${RULES[@]}"
    exit 0
fi
cd "${1:-$(dirname "$0")/..}" || exit 2
stripped=$(mktemp -d)
trap 'rm -rf "$stripped"' EXIT

# Files of the tree by name pattern, without what is built or fetched.
files() { # PATTERN...
    local -a names=()
    local pattern
    for pattern in "$@"; do
        names+=(-o -name "$pattern")
    done
    find . \( -path ./build -o -path ./.cache -o -path ./.git \) -prune -o -type f \
        \( "${names[@]:1}" \) -print | sed 's|^\./||' | sort
}

# C without its comments, line for line; with --no-strings the texts are emptied, too.
strip_c() {
    awk -v keep_strings="$([ "${1:-}" = --no-strings ] && echo 0 || echo 1)" '
    {
        out = ""; line = $0; n = length(line)
        for (i = 1; i <= n; i++) {
            c = substr(line, i, 1); two = substr(line, i, 2)
            if (in_comment) { if (two == "*/") { in_comment = 0; i++ } continue }
            if (quote != "") {
                if (c == "\\") { if (keep_strings) out = out two; i++; continue }
                if (c == quote) quote = ""
                if (keep_strings || quote == "") out = out c
                continue
            }
            if (two == "/*") { in_comment = 1; i++; continue }
            if (two == "//") break
            if (c == "\"" || c == "\047") quote = c
            out = out c
        }
        quote = ""
        print out
    }'
}

mkdir "$stripped/code" "$stripped/directives"
mapfile -t sources < <(files '*.c' '*.h' '*.hip')
for file in "${sources[@]}"; do
    mkdir -p "$stripped/code/$(dirname "$file")" "$stripped/directives/$(dirname "$file")"
    strip_c --no-strings <"$file" >"$stripped/code/$file"
    strip_c <"$file" >"$stripped/directives/$file"
done

# Lines of code that match, as file:line:text.
grep_code() { # REGEX
    (cd "$stripped/code" && grep -rnE -- "$1" . | sed 's|^\./||')
}
grep_directives() {
    (cd "$stripped/directives" && grep -rnE -- "$1" . | sed 's|^\./||')
}

# ---- one function a rule ----

rule_include() {
    local row folder allowed file line header
    grep_directives '^ *# *include "' | sed -E 's/^([^:]*):([0-9]+):.*"(.*)".*/\1 \2 \3/' |
        while read -r file line header; do
            allowed=
            for row in "${INCLUDE_TABLE[@]}"; do
                [ "${row%%:*}" = "${file%%/*}" ] && allowed=${row#*:}
            done
            [ -e "$header" ] || [[ $file == tests/oracle/* ]] ||
                echo "$file:$line: no $header below the root"
            folder=${header%%/*}
            [[ " $allowed " == *" $folder "* || " $allowed " == *" $header "* ]] ||
                [[ $file == tests/oracle/* ]] ||
                echo "$file:$line: ${file%%/*} may not include $header"
        done
}

rule_place() {
    local row pattern place
    for row in "${PLACE_TABLE[@]}"; do
        pattern=${row% @ *} place=${row##* @ }
        if [[ $pattern == '#'* ]]; then grep_directives "$pattern"; else grep_code "$pattern"; fi |
            grep -vE "^($place|tests/)" | sed "s@\$@ (belongs in $place)@"
    done
}

rule_banned() {
    local row call
    for row in "${BANNED_TABLE[@]}"; do
        call=${row%%:*}
        grep_code "(^|[^a-zA-Z0-9_>.])$call\(" | sed "s|\$| (use ${row#*:})|"
    done
}

rule_length() {
    local file
    # clang-format puts a function's braces, and nothing else's, alone at the left edge.
    for file in "${sources[@]}"; do
        awk -v file="$file" -v max="$FUNCTION_MAX_LINES" -v file_max="$FILE_MAX_LINES" '
            /^{$/ { begin = FNR }
            /^}$/ && begin { if (FNR - begin + 1 > max)
                print file ":" begin ": a function of " FNR - begin + 1 " lines"; begin = 0 }
            END { if (FNR > file_max) print file ":" FNR ": a file of " FNR " lines" }' "$file"
    done
}

rule_typedef() {
    grep_code '(^|[^a-zA-Z0-9_])typedef (const )?(struct|enum|union)' | grep -v '^hip/kernels/'
}

rule_opening() {
    local file
    for file in "${sources[@]}" $(files '*.def'); do
        [ "$(head -c 3 "$file")" = "/* " ] || echo "$file:1: does not open with a comment"
    done
    for file in $(files '*.sql'); do
        [ "$(head -c 3 "$file")" = "-- " ] || echo "$file:1: does not open with a comment"
    done
}

rule_guard() {
    local file guard
    for file in $(files '*.h'); do
        guard=RBEE_$(tr 'a-z/.' 'A-Z__' <<<"$file")
        grep -qx "#ifndef $guard" "$file" || echo "$file:1: has no guard named $guard"
    done
}

# Headers of kernels as the emulator takes them, but for the parts of gpu.h that it alone includes.
compile_alone() {
    local kernel=()
    [[ $1 != hip/kernels/gpu_@(amd|nvidia).h && $1 != tests/emulator/gpu_emulator*.h ]] || return 0
    [[ $1 != hip/kernels/* && $1 != tests/emulator/* ]] || kernel=(-DGPU_WAVE=32 -DGPU_EMULATOR)
    gcc "${kernel[@]}" -std=gnu17 -D_GNU_SOURCE -I. -isystem /usr/share/include/llhttp -Wall -Wextra \
        -Wno-unused-parameter -fsyntax-only -x c "$1" 2>&1 | grep -E 'error|warning' | head -n 1
}
export -f compile_alone

rule_alone() {
    # golden headers of foreign libraries are not here: only ours.
    files '*.h' | xargs -r -P "$(nproc)" -I{} bash -c 'compile_alone {}' | sed 's/: fatal error/: error/'
}

rule_table() {
    local file
    for file in $(files '*.def'); do
        awk -v file="$file" '
            # Comments are blocks of whole lines here.
            /^\/\*/ { in_comment = 1 }
            in_comment { if (/\*\//) in_comment = 0; next }
            in_macro || /^#/ { in_macro = /\\$/; next }
            /^ *$/ || /^ +[^ ]/ { next } # a row may go on in the next line
            !/^[A-Z_0-9]+\(/ { print file ":" FNR ": no row: " $0; next }
            { row = $0; gsub(/ /, "", row) }
            row in seen { print file ":" FNR ": twice: " $0 }
            { seen[row] = 1 }' "$file"
    done
}

rule_words() {
    local file
    files '*.c' '*.h' '*.def' '*.sh' '*.bash' '*.bats' '*.sql' '*.md' '*.py' Makefile |
        grep -vE '^tests/tidy\.(sh|bats)$' | while read -r file; do
        grep -nwE 'TODO|FIXME|XXX|HACK' "$file" | sed "s|^|$file:|"
        grep -n 'NEEDSWORK' "$file" | grep -vE 'NEEDSWORK: .*\?' | grep -v '\.md:' |
            sed "s|^|$file:|; s|\$| (no question)|" | grep -v '^CONTRIBUTING'
    done
}

rule_document() {
    local place name
    files '*.c' '*.h' '*.def' '*.sh' '*.bash' '*.sql' '*.md' '*.py' Makefile | xargs -r grep -noHE '\b[A-Z]{3,}\.md\b' |
        while IFS= read -r place; do
            name=${place##*:}
            [ -n "$(files "$name")" ] || echo "${place%:*}: there is no $name"
        done
}

rule_machine() {
    local file
    files '*' | grep -vE '^tests/(tidy\.(sh|bats)$|fuzz/corpus/|golden/.*\.bin$)' | while read -r file; do
        grep -nIE '(^|[^a-zA-Z0-9_.$}-])/(root|work|tmp/(wt|scratch|brief))/|/home/[a-z]' "$file" | grep -v '/home/of/somebody' |
            sed "s|^|$file:|"
    done
}

rule_folder() {
    local folder
    for folder in */; do
        folder=${folder%/}
        [ "$folder" = build ] || [ "$folder" = '*' ] || [[ " $TOP_FOLDERS " == *" $folder "* ]] ||
            echo "$folder:1: no folder of TOP_FOLDERS"
    done
}

rule_runner() {
    local file
    files 'test_*.c' | grep -v '^tests/unit/' | sed 's/$/:1: belongs in tests\/unit/'
    files 'fuzz_*.c' | grep -v '^tests/fuzz/' | sed 's/$/:1: belongs in tests\/fuzz/'
    files 'bench_*.c' | grep -v '^tests/bench/' | sed 's/$/:1: belongs in tests\/bench/'
    files '*.bats' | grep -vE '^tests/[^/]*$' | sed 's/$/:1: belongs in tests/'
    for file in $(files '*.c' | grep '^tests/unit/'); do
        [[ $file == tests/unit/test_* ]] || echo "$file:1: is not named test_NAME.c"
    done
}

rule_corpus() {
    local file name
    for file in $(files 'fuzz_*.c'); do
        name=$(basename "$file" .c)
        [ -n "$(find "tests/fuzz/corpus/${name#fuzz_}" -type f 2>/dev/null | head -n 1)" ] ||
            echo "$file:1: tests/fuzz/corpus/${name#fuzz_}/ is empty"
    done
}

rule_script() {
    local file
    for file in $(files '*.sh'); do
        [ -x "$file" ] || echo "$file:1: is not executable"
        [ "$(head -c 2 "$file")" = '#!' ] || echo "$file:1: has no #! line"
        [ "$(sed -n 2p "$file" | head -c 2)" = '# ' ] || echo "$file:2: does not say what it is for"
    done
}

# A return before a later x_init would release what lay on the stack.
rule_auto() {
    grep_code '\bAUTO_[A-Z_]+ [^=;(]*;' | sed 's/$/ (give it an initialiser)/'
}

# The texts of each call behind its event's name, put together as the compiler would.
rule_log() {
    local file
    for file in $(files '*.c'); do
        [[ $file != tests/* ]] || continue
        awk -v file="$file" '
            function check(call, format, field, count, fields, i) {
                gsub(/" *PRI[ud]64 *"/, "ld", call)
                gsub(/" *PRI[ud]64/, "ld\"", call)
                if (call ~ /\\"/) { print file ":" from ": quotes of its own"; return }
                while (match(call, /"[^"]*"/)) {
                    format = format substr(call, RSTART + 1, RLENGTH - 2)
                    call = substr(call, RSTART + RLENGTH)
                }
                count = split(format, fields, " ")
                for (i = 1; i <= count; i++) {
                    field = fields[i]
                    if (field !~ /^[a-z_0-9]+=/) print file ":" from ": no key=value: " field
                    gsub(/%(s|m|d|u|ld|lu|zu|lld|llu)/, "", field)
                    if (field ~ /%/) print file ":" from ": an unknown conversion: " fields[i]
                }
            }
            /log_event\(.*LOG_/ { call = ""; from = FNR }
            from { call = call $0 }
            from && /;/ { sub(/^[^"]*"[^"]*"/, "", call); check(call, ""); from = 0 }
            ' "$stripped/directives/$file"
    done
}

rule_global() {
    local file
    # A definition with "static" or a type at the left edge, neither const nor a function.
    grep_code '^(static )?(_Atomic )?(unsigned |struct |enum )?[a-z_0-9]+ \**[a-z_0-9]+(\[[^]]*\])*( = .*[;{]|;)$' |
        grep -vE ':(extern|typedef|return|const|static const|static inline)\b|:(struct|enum) [a-z_0-9]+;|^tests/' |
        grep -vE "[ *](${GLOBALS// /|})(\[.*\])*( =|;)" |
        while IFS= read -r file; do echo "$file (a variable at file scope)"; done
}

# ---- main ----

failed=0
for row in "${RULES[@]}"; do
    rule=${row%% *}
    findings=$("rule_$rule" | sed "s/^/$rule: /")
    if [ -n "$findings" ]; then
        printf '%s\n' "$findings"
        failed=1
    fi
done
exit "$failed"
