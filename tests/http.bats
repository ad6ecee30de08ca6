#!/usr/bin/env bats
# The HTTP layer from outside: raw sockets against tests/tools/http_echo, on a Unix socket and on
# loopback TCP. The cases are functions of http_raw.py, which say what each shows.

load helpers

setup() {
    rbee_setup
    use_tool http_echo
}

teardown() {
    rbee_teardown
}

raw_http() {
    run python3 "$TESTS_DIR/http_raw.py" "$1"
    assert_success
}

@test "http: leaves before the reply" {
    raw_http leaves_before_the_reply
}

@test "http: leaves while it streams" {
    raw_http leaves_while_it_streams
}

@test "http: half closed counts as left" {
    raw_http half_closed_counts_as_left
}

@test "http: leaves while it sends a body" {
    raw_http leaves_while_it_sends_a_body
}

@test "http: leaves with unread pipelined bytes" {
    raw_http leaves_with_unread_pipelined_bytes
}

@test "http: leaves while reading is paused" {
    raw_http leaves_while_reading_is_paused
}

@test "http: floods behind a request are cut" {
    raw_http floods_behind_a_request_are_cut
}

@test "http: pipelined beyond the limit is dropped" {
    raw_http pipelined_beyond_the_limit_is_dropped
}

@test "http: leaves without reading a flood" {
    raw_http leaves_without_reading_a_flood
}

@test "http: pipelined waits for the reply" {
    raw_http pipelined_waits_for_the_reply
}

@test "http: many pipelined are answered in order" {
    raw_http many_pipelined_are_answered_in_order
}

@test "http: pipelined garbage harms nobody" {
    raw_http pipelined_garbage_harms_nobody
}

@test "http: slow reader pauses the source" {
    raw_http slow_reader_pauses_the_source
}

@test "http: deaf source is cut" {
    raw_http deaf_source_is_cut
}

@test "http: reader that stops is cut" {
    raw_http reader_that_stops_is_cut
}

@test "http: big reply arrives whole" {
    raw_http big_reply_arrives_whole
}

@test "http: events leave at once" {
    raw_http events_leave_at_once
}

@test "http: head has no body" {
    raw_http head_has_no_body
}

@test "http: version 1 0 ends with its connection" {
    raw_http version_1_0_ends_with_its_connection
}

@test "http: close is kept" {
    raw_http close_is_kept
}

@test "http: refusals without a body keep the connection" {
    raw_http refusals_without_a_body_keep_the_connection
}

@test "http: request ids" {
    raw_http request_ids
}

@test "http: peer is known" {
    raw_http peer_is_known
}

@test "http: bodies arrive" {
    raw_http bodies_arrive
}

@test "http: expect continue" {
    raw_http expect_continue
}

@test "http: body limits" {
    raw_http body_limits
}

@test "http: clients are capped" {
    raw_http clients_are_capped
}

@test "http: no descriptors left" {
    raw_http no_descriptors_left
}

@test "http: deadlines are absolute" {
    raw_http deadlines_are_absolute
}

@test "http: silent clients are closed" {
    raw_http silent_clients_are_closed
}

@test "http: https on a plain port is closed" {
    raw_http https_on_a_plain_port_is_closed
}

@test "http: door" {
    raw_http door
}

@test "http: keep alive leaks nothing" {
    raw_http keep_alive_leaks_nothing
}

@test "http: idle connections are small" {
    raw_http idle_connections_are_small
}

@test "http: every case of http_raw.py runs here" {
    run grep -c '^@each_transport' "$TESTS_DIR/http_raw.py"
    assert_output "$(grep -c '^    raw_http ' "$BATS_TEST_FILENAME")"
}
