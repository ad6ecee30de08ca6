# packaging/rbee.conf: made from the table of keys, and a configuration that rbee accepts.

load helpers

setup() { rbee_setup; }
teardown() { rbee_teardown; }

@test "the sample configuration is what the table of keys gives" {
    run diff "$TREE_DIR/packaging/rbee.conf" <("$TREE_DIR/scripts/sample_config.sh")
    assert_output ''
}

@test "every key of the table stands in it" {
    local keys
    keys=$(grep -cE '^(WORKER_)?KEY\(' "$TREE_DIR/common/config_keys.def")
    assert_equal "$(grep -cE '^#     [a-z_]+ = ' "$TREE_DIR/packaging/rbee.conf")" "$keys"
}

@test "rbee accepts it as it is, and with every line uncommented" {
    write_config <"$TREE_DIR/packaging/rbee.conf"
    run rbee config check
    assert_success
    # An empty text is no model: the example worker gets one.
    sed -nE '/^# [a-z]+( big)? \{$/,/^# \}$/p' "$TREE_DIR/packaging/rbee.conf" |
        sed -E 's/^# ?//; s/^( *)model = ""/\1model = "some-model"/' | write_config
    run rbee config check
    assert_success
    run rbee config show --json
    assert_success
    assert_output --partial 'some-model'
}
