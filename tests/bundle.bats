#!/usr/bin/env bats
# rbee bundle: what is in it, and what never is: prompts, answers, tokens, the home folder.

# shellcheck disable=SC2154 # $output and $stderr are of run

load supervisor_helpers

setup() {
    [ ! -S /run/rbee/rbee.sock ] || skip "a supervisor of the system runs on this machine"
    fake_setup
}
teardown() { rbee_teardown; }

# Unpacks FILE; its folder is $INSIDE.
unpack() { # FILE
    mkdir unpacked
    tar -xzf "$1" -C unpacked
    INSIDE=$(echo unpacked/rbee-bundle-*)
}

assert_nowhere() { # TEXT...
    local text
    for text in "$@"; do
        run grep -r -F -- "$text" "$INSIDE"
        [ "$status" -eq 1 ] || fail "'$text' is in the bundle: $output"
    done
}

@test "a bundle without a supervisor says so, and is private" {
    umask 000
    run -0 --separate-stderr rbee bundle
    assert_regex "$output" '^rbee-bundle-[0-9]{8}T[0-9]{6}Z.tar.gz$'
    assert_equal "$(stat -c %a "$output")" 600
    assert_regex "$stderr" 'in it: doctor.json'
    unpack "$output"
    assert_regex "$(cat "$INSIDE/supervisor.txt")" 'no supervisor at'
    jq -e .state "$INSIDE/doctor.json"
    jq -e 'map(select(.section == "supervisor")) | length > 1' "$INSIDE/settings.json"
    assert_regex "$(cat "$INSIDE/versions.txt")" "^$(rbee --version)"
    # Everything that stderr names is in there, and nothing else.
    assert_equal "$(tar -tzf "$output" | grep -v '/$' | sed 's|.*/||' | sort)" \
        "$(sed -n 's/^rbee: in it: //p' <<<"$stderr" | sort)"
    assert_no_process
    assert_not_exists "$STATE"
    [ -z "$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'rbee-bundle.*' -user "$(id -un)")" ]
}

@test "-o replaces a file that is there; - is stdout, but for a terminal" {
    echo old >out.tar.gz
    run -0 --separate-stderr rbee bundle -o out.tar.gz
    unpack out.tar.gz
    rbee bundle -q -o - >piped.tar.gz
    assert_not_exists ./-
    [ -n "$(tar -tzf piped.tar.gz)" ]
    run python3 "$TESTS_DIR/pty_drive.py" rbee bundle -o - </dev/null
    assert_failure 2
    assert_output --partial 'a bundle is not for a terminal'
}

@test "no prompt, answer, token or home folder is in it, whatever has quoted them" {
    export HF_TOKEN=kestrel-of-the-hub-in-the-environment
    mkdir -p "$HOME/.cache/huggingface" "$HOME/models"
    echo kestrel-of-the-hub-in-its-file >"$HOME/.cache/huggingface/token"
    rbee token new -q >/dev/null
    rbee token new -q --role infer >/dev/null
    local admin infer
    admin=$(cat "$XDG_CONFIG_HOME/rbee/token")
    infer=$(cat "$XDG_CONFIG_HOME/rbee/infer-token")
    cat >"$HOME/models/leaky.gguf" <<LINES
stderr kestrel-prompt was asked
stderr $admin $infer $HF_TOKEN kestrel-of-the-hub-in-its-file $HOME
reply kestrel-answer
die_after 1 SEGV
LINES
    fake_config <<LINES
supervisor { listen = "off" }
worker other { command = "server --port {port} --api-key kestrel-in-a-command" }
LINES
    rbee up
    rbee model add "$HOME/models/leaky.gguf" --name leaky
    run rbee infer -m leaky kestrel-prompt --no-stdin
    assert_failure
    wait_until sh -c 'rbee events --json | grep -q "\"crash\"\|SIGSEGV"'
    # They are there to be found: the log and why quote them.
    rbee why leaky --json | grep -q kestrel-prompt
    run -0 --separate-stderr rbee bundle -o out.tar.gz --json
    assert_equal "$(jq -r .file <<<"$output")" out.tar.gz
    unpack out.tar.gz
    jq -e '.workers | length > 0' "$INSIDE/status.json"
    jq -e '.worker.name == "leaky" and .fault == "crash"' "$INSIDE/why-leaky.json"
    jq -e '.events | length > 0' "$INSIDE/events.json"
    jq -e '.breakers | length > 0' "$INSIDE/breakers.json"
    grep -q '^rbee_hive_' "$INSIDE/metrics.txt"
    grep -q 'worker_spawned name=leaky' "$INSIDE/rbeed.log"
    assert_nowhere kestrel "$admin" "$infer" "$HOME"
    # Also of what a supervisor that was killed has left.
    kill -KILL "$(test_processes rbeed)"
    wait_until has_no_process rbeed
    rm -r unpacked
    run -0 --separate-stderr rbee bundle -o out.tar.gz
    unpack out.tar.gz
    grep -q 'worker_spawned name=leaky' "$INSIDE/rbeed.log"
    assert_nowhere kestrel "$admin" "$infer" "$HOME"
}

@test "a supervisor that does not answer does not keep it from being made" {
    start_rbeed
    kill -STOP "$RBEED_PID"
    run -0 --separate-stderr timeout "$WAIT_LIMIT_S" rbee bundle -o out.tar.gz
    kill -CONT "$RBEED_PID"
    unpack out.tar.gz
    jq -e '.error.code == "TIMED_OUT"' "$INSIDE/status.json"
    assert_regex "$(jq -r .error.message "$INSIDE/status.json")" \
        'has not answered for .*: it hangs or is stopped \(rbee doctor\)$'
    assert_equal "$(jq -r '.checks[] | select(.check == "supervisor") | .fix' "$INSIDE/doctor.json")" \
        "kill -CONT $RBEED_PID"
}

@test "a bundle that cannot be written leaves nothing" {
    run --separate-stderr rbee bundle -o none/out.tar.gz
    assert_failure 73
    run --separate-stderr rbee bundle -o /dev/full
    assert_failure 73
    assert_equal "$stderr" 'rbee: tar could not write the bundle; with -v it says why'
    mkdir bin2
    printf '#!/bin/sh\nexit 2\n' >bin2/tar
    chmod +x bin2/tar
    PATH=$T/bin2:$PATH run --separate-stderr rbee bundle -o out.tar.gz
    assert_failure 73
    assert_not_exists out.tar.gz
    assert_equal "$(find . -name 'out.tar.gz*')" ""
    TMPDIR=$T/none run --separate-stderr rbee bundle -o out.tar.gz
    assert_failure 73
    [ -z "$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'rbee-bundle.*' -user "$(id -un)")" ]
}
