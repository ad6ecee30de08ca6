# What the suites of pulls share beside helpers.bash: a hub that misbehaves to order, and models in it.

# shellcheck disable=SC2034,SC2119,SC2120 # variables and arguments are for the suites

load helpers

bats_require_minimum_version 1.5.0 # run --separate-stderr

# A world with a hub that has one model, acme/tiny, in one file; $TINY is that file, $TINY_SIZE its
# size, $HUB the hub's URL, $PLACE where the file is to be.
pull_setup() {
    rbee_setup
    TINY=$T/hub/acme/tiny/tiny.gguf
    mkdir -p "$T/hub/acme/tiny"
    tiny_model "$TINY"
    TINY_SIZE=$(stat -c %s "$TINY")
    PLACE=$XDG_DATA_HOME/rbee/models/hf/acme/tiny/tiny.gguf
    PARTS=$XDG_DATA_HOME/rbee/models/hf/acme/tiny/.part
    start_hub hub
    HUB=$HUB_URL
    pull_config </dev/null
}

# Ends by itself with the test: its command line names something in $T.
start_hub() { # NAME [ADDRESS [OPTION...]]; its script is $T/NAME.script, its log $T/NAME.log
    cp "$TESTS_DIR/fake/fake_hub.py" "$T/bin/$1-server"
    "$T/bin/$1-server" --root "$T/hub" --script "$T/$1.script" --log "$T/$1.log" \
        --ready "$T/$1.port" --host "${2:-127.0.0.1}" "${@:3}" 3>&- &
    wait_until [ -s "$T/$1.port" ]
    HUB_URL=http://${2:-127.0.0.1}:$(cat "$T/$1.port")
}

pull_config() { # more keys of the section on stdin; ENDPOINT, where it is not the hub's URL
    {
        echo "pull {"
        echo "    endpoint = \"${ENDPOINT:-$HUB}\""
        echo "    retry_base = 1ms"
        cat
        echo "}"
    } | write_config
}

hub_does() { # DIRECTIVE on each line of stdin
    cat >"$T/hub.script.new"
    mv "$T/hub.script.new" "$T/hub.script"
}

# Requests for files so far, as jq's FILTER of each makes them.
asked() { # [FILTER]
    jq -rc "select(.path // \"\" | test(\"resolve|/files/\")) | ${1:-.range}" "$T/hub.log"
}

asked_count() {
    asked | wc -l
}

# Nothing has the model's name, whatever else there is.
assert_no_model() {
    assert_not_exist "$PLACE"
    assert_equal "$(rbee model ls --json | jq -c '[.data[].name]')" '[]'
}

assert_whole() { # [FILE]
    cmp "$TINY" "${1:-$PLACE}"
    assert_not_exist "$PARTS"
}

pull() { # [OPTION...]
    run --separate-stderr rbee model pull hf:acme/tiny "$@"
}

assert_pulled() {
    assert_success
    assert_output tiny
    assert_whole
}

# ---- a pull in the background that the hub holds in the middle ----

hub_holds() {
    hub_does <<<"gate 50000 $T/go"
}

part_is() { # SIZE
    [ "$(stat -c %s "$PARTS/tiny.gguf" 2>/dev/null)" = "$1" ]
}

part_has() {
    wait_until part_is "$1"
}

# $CALLER is its process.
pull_until_half() { # OUTPUT [OPTION...]
    local out=$1
    shift
    rbee model pull hf:acme/tiny "$@" >"$out" 2>"$out.err" 3>&- &
    CALLER=$!
    wait_for_line "$T/hub.log" '"stopped"'
    part_has 50000
}
