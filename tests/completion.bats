# Completions: each file loads in its shell and completes, typed on a terminal (completion_pty.py), what
# the tables have and the names that a living supervisor knows.

# shellcheck disable=SC2154,SC2030,SC2031 # $output is of run; each test is a subshell

load supervisor_helpers

setup() {
    fake_setup
    cd "$T" || return
    mkdir models
    touch 'models/my model.gguf' notes.txt
}
teardown() { rbee_teardown; }

# Loads the file of SHELL and types what stands on stdin, "KEYS TEXT" a line.
typed() { # SHELL
    local file=rbee.$1
    [ "$1" != zsh ] || file=_rbee
    command -v "$1" >/dev/null || skip "there is no $1 here"
    run --separate-stderr "$TESTS_DIR/completion_pty.py" "$1" "$TREE_DIR/completions/$file" \
        < <(sed 's/ /\t/')
    [ "$status" -eq 0 ] || fail "$stderr"
}

# The shells list in orders of their own, bash without "--option=" before each.
assert_typed() { # INDEX WORD...
    local -a words
    read -ra words <<<"${lines[$1]}"
    assert_equal "$(printf '%s\n' "${words[@]##*=}" | grep -vxE 'rbee|-m' | sort | xargs)" \
        "$(printf '%s\n' "${@:2}" | sort | xargs)"
}

# What the tables give, without a supervisor.
check_static() { # SHELL
    typed "$1" <<'END'
tab rbee inf
tab rbee config sh
tab rbee worker start --slo
tab rbee --json config pa
all rbee breaker 
all rbee token new --role 
all rbee token new --role=
all rbee drill 
tab rbee infer -s be-brief --raw --no-st
tab rbee infer -f no
tab rbee model add models/my
tab rbee infer -- --mod
all rbee help config 
END
    assert_equal "${lines[0]}" 'rbee infer'
    assert_equal "${lines[1]}" 'rbee config show'
    assert_equal "${lines[2]}" 'rbee worker start --slots'
    assert_equal "${lines[3]}" 'rbee --json config path'
    assert_typed 4 breaker ls show reset open
    assert_typed 5 token new --role admin infer
    assert_typed 6 token new admin infer
    assert_typed 7 drill crash hang oom slow gpu-fault
    assert_equal "${lines[8]}" 'rbee infer -s be-brief --raw --no-st'
    assert_equal "${lines[9]}" 'rbee infer -f notes.txt'
    assert_equal "${lines[10]}" 'rbee model add models/my model.gguf' # quoted when it was typed
    assert_equal "${lines[11]}" 'rbee infer -- --mod'
    assert_typed 12 help config check show path
}

# What a supervisor knows.
check_live() { # SHELL
    fake_config <<END
worker alpha { model = "$T/m/llama.gguf" device = "gpu:0000:03:00.0" }
worker beta { model = "$T/m/llama.gguf" }
END
    start_rbeed
    model llama </dev/null
    # A GPU is known once a worker has used it, by its number (gpu:0) as well.
    api POST /v1/workers/alpha/start -d '{}' >/dev/null
    wait_for_worker alpha ready
    typed "$1" <<'END'
tab rbee why al
tab rbee worker hold --reason because be
tab rbee infer -m lla
tab rbee infer --model=lla
tab rbee model show l
all rbee logs 
tab rbee breaker show gpu:0000:0
tab rbee breaker reset alp
tab rbee infer --device=gpu:0000
tab rbee infer --device cp
END
    assert_equal "${lines[0]}" 'rbee why alpha'
    assert_equal "${lines[1]}" 'rbee worker hold --reason because beta'
    assert_equal "${lines[2]}" 'rbee infer -m llama'
    assert_equal "${lines[3]}" 'rbee infer --model=llama'
    assert_equal "${lines[4]}" 'rbee model show llama'
    assert_typed 5 logs alpha beta
    assert_equal "${lines[6]}" 'rbee breaker show gpu:0000:03:00.0'
    assert_equal "${lines[7]}" 'rbee breaker reset alpha'
    assert_equal "${lines[8]}" 'rbee infer --device=gpu:0000:03:00.0'
    assert_equal "${lines[9]}" 'rbee infer --device cpu'
    stop_rbeed
}

@test "bash: commands, options, values, files" { check_static bash; }
@test "zsh: commands, options, values, files" { check_static zsh; }
@test "fish: commands, options, values, files" { check_static fish; }
@test "bash: workers, models, breakers, GPUs" { check_live bash; }
@test "zsh: workers, models, breakers, GPUs" { check_live zsh; }
@test "fish: workers, models, breakers, GPUs" { check_live fish; }

@test "what is committed is what the tables give, and what rbee prints" {
    mkdir out
    "$RBEE_BUILD/tests/generate" "$TREE_DIR" out
    local pair
    for pair in bash=rbee.bash zsh=_rbee fish=rbee.fish; do
        run diff "out/completions/${pair#*=}" "$TREE_DIR/completions/${pair#*=}"
        assert_output '' # else: make generated
        run diff <(rbee completion "${pair%=*}") "$TREE_DIR/completions/${pair#*=}"
        assert_output ''
    done
}

@test "a shell that is none of them is a bad argument" {
    run --separate-stderr rbee completion tcsh
    assert_failure 2
    assert_equal "$output" ''
    [[ $stderr == *'bash, zsh and fish, not for tcsh'* ]] || fail "$stderr"
}

@test "names without a supervisor: nothing, no word, none is started" {
    run --separate-stderr rbee completion workers
    assert_success
    assert_equal "$output$stderr" ''
    assert_no_process rbeed
    run --separate-stderr rbee completion models --host http://127.0.0.1:9
    assert_success
    assert_equal "$output$stderr" ''
}

@test "a broken configuration, and a supervisor that answers nonsense or errors: the same" {
    echo 'no { such' | write_config
    run --separate-stderr rbee completion workers --config "$XDG_CONFIG_HOME/rbee/rbee.conf"
    assert_success
    assert_equal "$output$stderr" ''
    rm -f "$T/bin/rbeed" "$XDG_CONFIG_HOME/rbee/rbee.conf"
    cp "$TESTS_DIR/fake/fake_supervisor.py" "$T/bin/rbeed"
    export FAKE_SCRIPT=$T/script
    cat >"$FAKE_SCRIPT" <<'END'
GET /v1/workers error 503 SERVER_BUSY "come back later"
GET /v1/models json 200 "[1, 2]"
GET /v1/breakers hang
END
    rbee up
    local kind
    for kind in workers models breakers; do
        run --separate-stderr rbee completion "$kind"
        assert_success
        assert_equal "$output$stderr" ''
    done
    rbee down
}

@test "hostile names are not offered, and no shell runs them" {
    rm -f "$T/bin/rbeed"
    cp "$TESTS_DIR/fake/fake_supervisor.py" "$T/bin/rbeed"
    export FAKE_SCRIPT=$T/script
    jq -cn --arg t "$T" '{workers: [{name: "$(touch \($t)/owned)"}, {name: "`touch \($t)/owned`"},
        {name: ";touch \($t)/owned;"}, {name: "-rf"}, {name: "two words"}, {name: "tab\tafter"},
        {name: "\u001b]52;c;AAAA\u0007"}, {name: "line\nbreak"}, {name: ""}, {name: 7}, {}, "text",
        {name: "\u202eevil"}, {name: "good"}]}' | jq -Rr '"GET /v1/workers json 200 " + @sh' >"$FAKE_SCRIPT"
    rbee up
    run --separate-stderr rbee completion workers
    assert_success
    assert_equal "$output" good
    local shell
    for shell in bash zsh fish; do
        typed "$shell" <<<'tab rbee why '
        assert_equal "${lines[0]}" 'rbee why good'
    done
    assert_not_exists "$T/owned"
    rbee down
}
