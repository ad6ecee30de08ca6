#!/usr/bin/env bats
# rbeed under everything at once. RBEE_STORM_SECONDS and RBEE_STORM_SEED make it longer and other.

load supervisor_helpers

setup() { fake_setup; }
teardown() { rbee_teardown; }

@test "a storm of requests, stops, deaths and changes leaves a supervisor that works" {
    printf 'life {\n canary = 100ms\n progress_timeout = 5s\n idle_stop = 300ms\n drain = 300ms\n term_grace = 200ms\n}\nlimits { queue = 3 }\n' |
        write_config
    start_rbeed
    run "$TESTS_DIR/storm.py" "$SOCKET" "$T/m" "${RBEE_STORM_SECONDS:-15}" "${RBEE_STORM_SEED:-1}"
    assert_success
    model calm <<<'reply one'
    run ask calm
    assert_output --partial '"type":"end"'
    stop_rbeed
    assert_no_process
    assert_no_file "$T/run/rbee"
    assert_equal "$(db "select count(*) from requests where outcome = ''")" 0
    assert_equal "$(db 'select count(*) from workers where pid != 0')" 0
}
