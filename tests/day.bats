#!/usr/bin/env bats
# A working day in a shell: what people write in scripts, on the programs as they are (the worker is
# the fake one, because its answers are known).

# shellcheck disable=SC2154,SC2016,SC2030,SC2031,SC2089,SC2090 # $output and $stderr are of run; what is quoted is for inner shells

load supervisor_helpers

setup() {
    [ ! -S /run/rbee/rbee.sock ] || skip "a supervisor of the system runs on this machine"
    fake_setup
    export TERM=xterm
    unset COLUMNS LINES
    # What a model may say: quotes, an escape sequence, no newline at the end.
    ANSWER=$'Gr\xc3\xbc\xc3\x9fe, "Welt" \\ \x1b[31m $HOME'
    export ANSWER
    printf "reply '%s'\n" "$ANSWER" | script hello
    printf 'tokens 1000000\ntoken_ms 20\n' | script endless
}
teardown() { rbee_teardown; }

# ---- every command ----

# What each command is called with, in an order in which that works: name | exit | kind | arguments.
# `reads` marks those that change nothing and may be called again and again. A row of cli/commands.def that is
# not here fails the first test below, and so does one here that is not there.
USES='
up             | 0 |       |
model add      | 0 |       | m/hello.gguf --name hello
worker start   | 0 |       | hello -m hello --wait
wait           | 0 | reads | hello
infer          | 0 |       | hi -m hello --no-stdin
chat           | 0 |       | -m hello
batch          | 0 |       | in.jsonl -m hello
status         | 0 | reads |
ps             | 0 | reads |
top            | 0 | reads | --once
gpu ls         | 0 | reads |
gpu show       | 67 |      | gpu:0
metrics        | 0 | reads |
events         | 0 | reads |
logs           | 0 | reads |
why            | 0 | reads | hello
worker show    | 0 | reads | hello
breaker ls     | 0 | reads |
breaker show   | 0 | reads | hello
model ls       | 0 | reads |
model show     | 0 | reads | hello
model verify   | 0 | reads | hello
config check   | 0 | reads |
config show    | 0 | reads |
config path    | 0 | reads |
doctor         | 0 | reads | --root none
bundle         | 0 |       |
audit ls       | 0 | reads |
audit verify   | 0 | reads |
audit export   | 0 | reads |
audit archive  | 1 |       | --before 24h
audit accept   | 1 |       |
breaker open   | 0 |       | hello --reason tired
breaker reset  | 0 |       | hello
drill          | 0 |       | crash hello --yes
worker restart | 0 |       | hello --wait
worker hold    | 0 |       | hello --wait
worker release | 0 |       | hello
worker stop    | 0 |       | hello --wait
model rm       | 0 |       | hello
token new      | 0 |       |
down           | 0 |       |
'
# These print what is no JSON, whatever they are asked for (help, completion), or need a real worker
# (bench: bench_command.bats), or a hub (pull: pull.bats).
ELSEWHERE='help completion bench model pull'

command_names() {
    sed -nE 's/^COMMAND\([A-Z_]+, *"([^"]+)".*/\1/p' "$TREE_DIR/cli/commands.def"
}

# Calls FUNCTION NAME EXIT KIND ARGUMENT... for each row.
each_use() { # FUNCTION
    local name code kind arguments
    while IFS='|' read -r name code kind arguments; do
        read -ra name_words <<<"$name"
        read -ra argument_words <<<"$arguments"
        [ ${#name_words[@]} -gt 0 ] || continue
        command_names | grep -qx -- "${name_words[*]}" || fail "USES has \"${name_words[*]}\", which is no command"
        "$1" "${name_words[*]}" "${code// /}" "${kind// /}" "${argument_words[@]}"
    done <<<"$USES"
}

json_is_whole() { # NAME EXIT KIND ARGUMENT...
    local name=$1 code=$2 status=0
    shift 3
    # shellcheck disable=SC2086 # two words of a command
    rbee $name "$@" --json </dev/null >out 2>err || status=$?
    [ "$status" = "$code" ] || fail "rbee $name $*: exit $status, not $code: $(cat out err)"
    # Nothing but JSON: an object, or one a line; chat has been asked nothing.
    jq -es 'all(type == "object")' <out >/dev/null || fail "rbee $name $* --json: $(cat out)"
    [ -s out ] || [[ " chat down token\ new " == *" ${name// /\\ } "* ]] || [ "$name" = "model rm" ] ||
        fail "rbee $name $* --json says nothing"
}

@test "every command of the table has a --json that jq reads, and the exit code that is written here" {
    local name
    while read -r name; do
        grep -qE "^$name +\|" <<<"$USES" || [[ " $ELSEWHERE " == *" $name "* ]] ||
            fail "how is \"rbee $name\" called with --json? USES does not say"
    done < <(command_names)
    fake_config <<<'audit { mode = local }'
    mkdir none
    echo '{"prompt":"hi"}' >in.jsonl
    each_use json_is_whole
    assert_no_process rbeed
}

read_only_full() { # NAME EXIT KIND ARGUMENT...
    local name=$1 kind=$3 status=0
    shift 3
    [ "$kind" = reads ] || return 0
    # shellcheck disable=SC2086
    rbee $name "$@" </dev/null >/dev/full 2>err || status=$?
    [ "$status" = 73 ] || fail "rbee $name $* >/dev/full: exit $status: $(cat err)"
    status=0
    # shellcheck disable=SC2086
    rbee $name "$@" </dev/null >&- 2>err || status=$?
    [ "$status" = 73 ] || fail "rbee $name $* >&-: exit $status: $(cat err)"
}

read_only_narrow() { # NAME EXIT KIND ARGUMENT...
    local name=$1 code=$2 kind=$3
    shift 3
    [ "$kind" = reads ] || return 0
    # shellcheck disable=SC2086
    TERM=dumb at_terminal --columns 20 --rows 5 rbee $name "$@" </dev/null
    [ "$status" = "$code" ] || fail "rbee $name $* on 20 columns: exit $status: $output"
    refute_regex "$output" $'\x1b'
}

@test "whatever reads: a full disk, a closed stdout, 20 columns of a dumb terminal" {
    fake_config <<<'audit { mode = local }'
    mkdir none
    rbee up -q
    rbee model add m/hello.gguf --name hello -q
    rbee worker start hello -m hello --wait -q
    # The commands that print nothing for people have nothing to lose.
    USES=$(grep -vE '^(wait|audit verify|audit export|logs) ' <<<"$USES")
    each_use read_only_full
    each_use read_only_narrow
}

# ---- a day ----

@test "a day: set -euo pipefail, pipes in and out, jq, xargs -P, files" {
    cat >day.sh <<'DAY'
set -euo pipefail
rbee up -q
rbee model add m/hello.gguf --name hello -q >/dev/null
export RBEE_MODEL=hello

# stdout is the answer, byte for byte, in a pipe, in a file, of a command substitution.
printf '%s' "$ANSWER" >expected
rbee infer "hi" --no-stdin | cmp - expected
rbee infer "hi" --no-stdin >got
cmp got expected
[ "$(rbee infer "hi" --no-stdin)" = "$ANSWER" ]
printf 'line 1\nline 2\n' | rbee infer "what is this?" --stats 2>stats | cmp - expected
grep -q 'answer' stats
rbee infer -f expected "sum up" -o answer.txt --no-stdin
cmp answer.txt expected
printf 'hi' | rbee chat | cmp - expected
rbee infer hi --json --no-stdin | jq -j .text | cmp - expected
rbee infer hi --stream=ndjson --no-stdin | jq -j 'select(.type == "token").t' | cmp - expected

# Many at once.
seq 12 | xargs -P 6 -I{} sh -c 'rbee infer "question {}" </dev/null >answer.{}'
for file in answer.[0-9]*; do cmp "$file" expected; done
seq 12 | jq -c '{prompt: "question \(.)", id: .}' | rbee batch - -j 6 -q >batch.jsonl
[ "$(jq -s 'map(.id) | sort == [range(1; 13)]' batch.jsonl)" = true ]
jq -j 'select(.id == 7).text' batch.jsonl | cmp - expected
while read -r question; do rbee infer "$question" </dev/null; done < <(printf 'a\nb\n') >loop
cat expected expected | cmp - loop

# Listings, and what follows from them.
rbee ps --json | jq -e '.workers[] | select(.name == "hello").state == "ready"' >/dev/null
rbee ps | awk 'NR > 1 { print $1 }' | grep -qx hello
rbee wait hello --for=idle --timeout 1m -q >/dev/null
rbee status -q >/dev/null
rbee worker stop hello --wait -q >/dev/null
if rbee infer hi --no-start --no-stdin 2>no; then exit 1; else [ $? = 75 ]; fi
rbee down -q
if rbee status -q >/dev/null; then exit 1; else [ $? = 3 ]; fi
echo done
DAY
    run -0 --separate-stderr bash day.sh
    assert_output "done"
    assert_no_process
}

@test "exit codes that scripts ask for" {
    code() { # EXPECTED COMMAND...
        local expected=$1 status=0
        shift
        "$@" </dev/null >out 2>err || status=$?
        [ "$status" = "$expected" ] || fail "$*: exit $status, not $expected: $(cat out err)"
    }
    code 69 rbee ps
    code 3 rbee status
    code 2 rbee infer
    code 2 rbee infre hi
    code 65 rbee infer $'\xff'
    code 66 rbee infer -f none hi
    rbee up -q
    code 67 rbee infer hi -m nobody
    code 67 rbee why nobody
    code 73 rbee infer hi -m "$T/m/hello.gguf" -o none/file
    code 124 rbee infer hi -m "$T/m/endless.gguf" --deadline 300ms
    code 3 rbee infer hi -m "$T/m/hello.gguf" -n 1 --fail-on-length
    rbee worker hold hello -q
    code 75 rbee infer hi -m hello
    code 0 rbee down
    write_config <<<'nonsense'
    code 78 rbee up
    code 78 rbee config check
    # A reader that leaves ends it quietly.
    rm "$XDG_CONFIG_HOME/rbee/rbee.conf"
    run bash -c "rbee infer hi -m '$T/m/endless.gguf' --no-stdin 2>err | head -c 1 >/dev/null; echo \${PIPESTATUS[0]}"
    assert_output 141
    assert_equal "$(cat err)" "rbee: starting rbeed"
}

@test "Ctrl-C cancels on the worker, and ends the loop that asked" {
    rbee up -q
    at_terminal bash -c "for i in 1 2 3; do rbee infer hi -m '$T/m/endless.gguf' --no-stdin; done; echo next" <<'STEPS'
expect two three
send \x03
STEPS
    assert_failure 130
    refute_output --partial next
    wait_until grep -q '"gone"' "$T/m/endless.log"
}

@test "no terminal at all, no stdin, no stderr" {
    rbee up -q
    setsid -w rbee infer hi -m "$T/m/hello.gguf" <&- >out 2>&-
    printf '%s' "$ANSWER" | cmp - out
    setsid -w env -i PATH="$PATH" XDG_RUNTIME_DIR="$XDG_RUNTIME_DIR" XDG_STATE_HOME="$XDG_STATE_HOME" \
        XDG_CONFIG_HOME="$XDG_CONFIG_HOME" rbee infer hi -m "$T/m/hello.gguf" </dev/null >out 2>err
    printf '%s' "$ANSWER" | cmp - out
    assert_file_empty err
}
