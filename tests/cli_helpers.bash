# What the suites of `rbee` share beside helpers.bash: a supervisor that answers to order.

# shellcheck disable=SC2154 # $output is of run

load helpers

bats_require_minimum_version 1.5.0 # run --separate-stderr

# A world whose rbeed is tests/fake/fake_supervisor.py; what it answers is given by answers().
scripted_setup() {
    # rbee looks there last; what these tests ask and stop must not be somebody's own.
    [ ! -S /run/rbee/rbee.sock ] || skip "a supervisor of the system runs on this machine"
    rbee_setup
    rm -f "$T/bin/rbeed"
    cp "$TESTS_DIR/fake/fake_supervisor.py" "$T/bin/rbeed"
    export FAKE_SCRIPT=$T/script
    : >"$FAKE_SCRIPT"
}

# The lines of the script, on stdin. They hold from the next request on.
answers() {
    cat >"$FAKE_SCRIPT"
}

# The answer of most tests.
answer_paris() {
    answers <<<'POST /v1/inference sse; started; tokens 1 "Paris"; tokens 1 " is"; end stop; done'
}

# Requests of METHOD PATH that reached the supervisor, as JSON, one a line.
requests() {
    jq -c "select(.method == \"$1\" and (.path | startswith(\"$2\")))" "$FAKE_SCRIPT.log"
}

# The body of the last inference, through jq FILTER.
last_body() {
    requests POST /v1/inference | tail -n 1 | jq -r .body | jq -c "$1"
}

# The envelope on stdout has CODE.
assert_json_error() {
    assert_equal "$(jq -r .error.code <<<"$output")" "$1"
    assert [ "$(jq -r .error.message <<<"$output")" != "" ]
}
