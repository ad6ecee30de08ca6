#!/usr/bin/env bats
# Who pulls a model: several at once, those who leave, what is killed in the middle; and what is known
# of a model afterwards: verify, rm, the audit trail, the line of progress.

# shellcheck disable=SC2154 # $output and $stderr are of run

load pull_helpers

setup() { pull_setup; }
teardown() { rbee_teardown; }

# ---- callers ----

@test "two at once share one download, each with its own name" {
    rbee up
    hub_holds
    pull_until_half "$T/one"
    local first=$CALLER
    rbee model pull hf:acme/tiny --name second >"$T/two" 2>&1 3>&- &
    local second=$!
    # The same file under another name of its own.
    rbee model pull hf:acme/tiny/tiny.gguf --name third >"$T/three" 2>&1 3>&- &
    local third=$!
    wait_for_line "$STATE/logs/rbeed.log" 'pull_started source=hf:acme/tiny/tiny.gguf'
    follows() { [ "$(grep -c 'action=MODEL_PULL' "$STATE/logs/rbeed.log")" = 3 ]; }
    wait_until follows
    touch "$T/go"
    assert_ends "$first" 0
    assert_ends "$second" 0
    assert_ends "$third" 0
    assert_equal "$(cat "$T/one" "$T/two" "$T/three" | paste -sd,)" tiny,second,third
    assert_equal "$(asked_count)" 1
    assert_whole
    assert_equal "$(rbee model ls --json | jq -c '[.data[].name]')" '["second","third","tiny"]'
}

@test "two at once that ask for two files of one name get two files" {
    local folder callers=()
    for folder in a bb; do
        mkdir "$T/hub/acme/tiny/$folder"
        tiny_model "seed=${#folder}" "$T/hub/acme/tiny/$folder/same.gguf"
    done
    rbee up
    hub_holds
    for folder in a bb; do
        rbee model pull "hf:acme/tiny/$folder/same.gguf" --name "$folder" >"$T/$folder" 2>&1 3>&- &
        callers+=("$!")
    done
    both_held() { [ "$(grep -c stopped "$T/hub.log")" = 2 ]; }
    wait_until both_held
    touch "$T/go"
    for folder in a bb; do
        assert_ends "${callers[${#folder} - 1]}" 0
        cmp "$T/hub/acme/tiny/$folder/same.gguf" "$(rbee model show "$folder" --json | jq -r .path)"
    done
}

@test "a name that is taken while it comes: all hear it when one more comes, and nobody follows any more" {
    cp "$TINY" "$T/other.gguf"
    rbee up
    hub_holds
    local source
    for source in hf:acme/tiny hf:acme/tiny/tiny.gguf; do
        rm -rf "$XDG_DATA_HOME/rbee/models" "$T/hub.log"
        pull_until_half "$T/one"
        rbee model add "$T/other.gguf" --name tiny
        run rbee model pull "$source"
        assert_failure 1
        assert_output --partial 'model tiny is there already, with another file'
        assert_ends "$CALLER" 1
        assert_no_process rbee-fetch
        assert_not_exist "$PLACE"
        rbee model rm tiny
    done
}

@test "one who leaves does not end it for the other" {
    rbee up
    hub_holds
    pull_until_half "$T/one"
    local first=$CALLER
    rbee model pull hf:acme/tiny --name second >"$T/two" 2>&1 3>&- &
    local second=$!
    follows() { [ "$(grep -c 'action=MODEL_PULL' "$STATE/logs/rbeed.log")" = 2 ]; }
    wait_until follows
    kill -TERM "$first"
    assert_ends "$first" 143
    touch "$T/go"
    assert_ends "$second" 0
    assert_equal "$(asked_count)" 1
    assert_equal "$(rbee model ls --json | jq -c '[.data[].name]')" '["second"]'
}

@test "Ctrl-C stops it, and the same command goes on from there" {
    rbee up
    hub_holds
    # A shell makes what it puts into the background deaf to INT.
    env --default-signal=INT rbee model pull hf:acme/tiny >"$T/one" 2>"$T/one.err" 3>&- &
    local pid=$!
    wait_for_line "$T/hub.log" '"stopped"'
    part_has 50000
    kill -INT "$pid"
    assert_ends "$pid" 130
    assert_equal "$(cat "$T/one")" ""
    assert_equal "$(grep -c 'the same command goes on from there' "$T/one.err")" 1
    assert_no_process rbee-fetch
    assert_no_model
    touch "$T/go"
    pull
    assert_pulled
    assert_equal "$(asked | paste -sd,)" ",bytes=50000-"
    assert_equal "$(asked .if_range | tail -n 1)" "\"$(md5sum "$TINY" | cut -d' ' -f1)\""
}

@test "kill -9 of rbee-fetch: the caller hears it, and the next pull goes on" {
    rbee up
    hub_holds
    pull_until_half "$T/one"
    kill -KILL "$(test_processes rbee-fetch)"
    assert_ends "$CALLER" 75
    assert_equal "$(grep -c 'rbee-fetch died of SIGKILL' "$T/one.err")" 1
    assert_no_model
    touch "$T/go"
    pull
    assert_pulled
    assert_equal "$(asked | tail -n 1)" "bytes=50000-"
}

@test "kill -9 of rbeed: rbee-fetch ends with it, and the next pull goes on" {
    start_rbeed
    hub_holds
    pull_until_half "$T/one"
    kill -KILL "$RBEED_PID"
    wait "$RBEED_PID" || true
    assert_ends "$CALLER" 74
    assert_no_process rbee-fetch
    start_rbeed
    assert_no_model
    touch "$T/go"
    pull
    assert_pulled
    assert_equal "$(asked | tail -n 1)" "bytes=50000-"
}

@test "a supervisor that stops says so, and the next pull goes on" {
    start_rbeed
    hub_holds
    pull_until_half "$T/one"
    stop_rbeed
    assert_ends "$CALLER" 75
    assert_no_process rbee
    start_rbeed
    touch "$T/go"
    pull
    assert_pulled
    assert_equal "$(asked | tail -n 1)" "bytes=50000-"
}

@test "a file that has changed on the hub is not pieced together with what was there" {
    rbee up
    hub_holds
    pull_until_half "$T/one"
    kill -TERM "$CALLER"
    assert_ends "$CALLER" 143
    touch "$T/go"
    tiny_model seed=2 "$TINY"
    rm "$T/hub.log"
    pull
    assert_pulled
    assert_equal "$(asked)" "" # one request, and for all of it: another checksum is another file
}

@test "a URL whose file has changed is not pieced together either, whatever the server makes of ETags" {
    local how n=0 asked=,bytes=50000-
    # The last two take the range for that of the old file.
    for how in 'etag second' 'etag third
odd_range' blind_range 'etag first'; do
        n=$((n + 1))
        rm -rf "$XDG_DATA_HOME/rbee" "$T/go" "$T/hub.log"
        hub_does <<<"gate 50000 $T/go
etag first"
        rbee model pull "$HUB/files/acme/tiny/tiny.gguf" --name "n$n" >"$T/one" 2>&1 3>&- &
        wait_for_line "$T/hub.log" '"stopped"'
        PARTS=$(echo "$XDG_DATA_HOME"/rbee/models/url/*/.part)
        part_has 50000
        kill -TERM $!
        wait $! || true
        touch "$T/go"
        tiny_model "seed=$((n + 1))" "$TINY"
        [ "$how" != 'etag first' ] || head -c 4096 /dev/zero >>"$TINY"
        [ "$n" -le 2 ] || asked=,bytes=50000-,
        hub_does <<<"$how"
        run --separate-stderr rbee model pull "$HUB/files/acme/tiny/tiny.gguf" --name "n$n"
        assert_success
        assert_equal "$(asked | paste -sd,)" "$asked"
        assert_whole "$(rbee model show "n$n" --json | jq -r .path)"
        rbee model rm "n$n"
    done
}

@test "a deadline ends it for who had one, and says so" {
    rbee up
    hub_holds
    pull_until_half "$T/one"
    run api POST /v1/pulls -d '{"source":"hf:acme/tiny","name":"late"}' -H 'X-Timeout-Ms: 100'
    assert_output --partial '"code":"DEADLINE_EXCEEDED"'
    touch "$T/go"
    assert_ends "$CALLER" 0
    assert_equal "$(rbee model ls --json | jq -c '[.data[].name]')" '["tiny"]'
}

@test "who pulls with a token that is none any more is told so, and that is the end" {
    local token=$XDG_CONFIG_HOME/rbee/token address
    { cat "$XDG_CONFIG_HOME/rbee/rbee.conf" && printf 'supervisor {\n listen = "127.0.0.1:0"\n}\n'; } >"$T/conf"
    write_config <"$T/conf"
    (umask 077 && echo token-0123456789abcdef >"$token")
    start_rbeed
    address=$(api GET /v1/status | jq -r .listen)
    hub_holds
    curl -sSN "http://$address/v1/pulls" -H 'Authorization: Bearer token-0123456789abcdef' \
        --json '{"source":"hf:acme/tiny"}' >"$T/stream" 2>&1 3>&- &
    local stream=$!
    wait_for_line "$T/hub.log" '"stopped"'
    echo other-0123456789abcdef >"$token"
    kill -HUP "$RBEED_PID"
    assert_ends "$stream" 0
    assert_equal "$(grep -c '"code":"INVALID_API_KEY"' "$T/stream")" 1
    assert_no_process rbee-fetch
    assert_no_model
}

@test "so many at a time, and one more is told to come later" {
    rbee up
    hub_holds
    local n pids=()
    for n in 1 2 3 4 5; do
        mkdir "$T/hub/acme/m$n"
        cp "$TINY" "$T/hub/acme/m$n/m$n.gguf"
    done
    for n in 1 2 3 4; do
        rbee model pull "hf:acme/m$n" >"$T/out.$n" 2>&1 3>&- &
        pids+=("$!")
    done
    four_run() { [ "$(grep -c stopped "$T/hub.log")" = 4 ]; }
    wait_until four_run
    run rbee model pull hf:acme/m5
    assert_failure 75
    assert_output --partial '4 models are being pulled already'
    touch "$T/go"
    for n in 1 2 3 4; do
        assert_ends "${pids[n - 1]}" 0
    done
    assert_equal "$(rbee model pull hf:acme/m5)" m5
}

@test "after a reboot only what was synced is believed, where no checksum will tell; of a damaged state nothing" {
    rbee up
    hub_does <<<"gate 50000 $T/go"
    rbee model pull "$HUB/files/acme/tiny/tiny.gguf" >"$T/one" 2>&1 3>&- &
    wait_for_line "$T/hub.log" '"stopped"'
    PARTS=$(echo "$XDG_DATA_HOME"/rbee/models/url/*/.part)
    part_has 50000
    kill -TERM $!
    wait $! || true
    assert_no_process rbee-fetch
    touch "$T/go"
    cp -r "$PARTS" "$T/kept"
    local change
    for change in 's/"boot_id":"[^"]*"/"boot_id":"another"/' 's/"size_bytes":[0-9]+/"size_bytes":-5/' \
        's/"boot_id":"[^"]*"/"boot_id":"another"/; s/"synced_bytes":[0-9]+/"synced_bytes":-5/'; do
        rm -rf "${PARTS%/*}" "$T/hub.log"
        mkdir "${PARTS%/*}"
        cp -r "$T/kept" "$PARTS"
        sed -i -E "$change" "$PARTS/tiny.gguf.json"
        run --separate-stderr rbee model pull "$HUB/files/acme/tiny/tiny.gguf"
        assert_success
        assert_equal "$(asked)" ""
        assert_whole "$(rbee model show tiny --json | jq -r .path)"
    done
}

# ---- verify ----

@test "verify: good, bad, gone; of one by hand it records what it finds" {
    pull
    assert_equal "$(rbee model verify tiny)" "tiny: good"
    assert_equal "$(rbee model verify tiny --json | jq -c '[.name,.good,.known]')" '["tiny",true,true]'
    touch -r "$PLACE" "$T/when"
    printf x | dd of="$PLACE" bs=1 seek=5000 conv=notrunc status=none
    touch -r "$T/when" "$PLACE" # as a disk does that forgets a bit
    run --separate-stderr rbee model verify tiny
    assert_failure 1
    assert_output "tiny: bad: tiny.gguf has another checksum: its content is not what it was"
    assert_equal "$stderr" "rbee: to get it again: rbee model pull hf:acme/tiny --name tiny"
    rbee model pull hf:acme/tiny --name tiny
    assert_equal "$(rbee model verify tiny)" "tiny: good"
    rm "$PLACE"
    run --separate-stderr rbee model verify tiny --json
    assert_failure 1
    assert_equal "$(jq -c '[.good,.message]' <<<"$output")" '[false,"tiny.gguf is gone"]'
    cp "$TINY" "$T/own.gguf"
    rbee model add "$T/own.gguf"
    run --separate-stderr rbee model verify own
    assert_success
    assert_output "own: recorded; its checksum was not known, from now on it is this one"
    assert_equal "$(rbee model verify own)" "own: good"
    assert_equal "$(rbee model show own --json | jq -c '[.source,.checksum]')" '[null,"recorded"]'
    printf x | dd of="$T/own.gguf" bs=1 seek=$((TINY_SIZE - 100)) conv=notrunc status=none
    run rbee model verify own
    assert_failure 1
    # Adding it takes it as it is.
    rbee model add "$T/own.gguf"
    run rbee model verify own
    assert_output --partial 'recorded'
    run rbee model verify none
    assert_failure 67
}

@test "verify: what was found is of no other file that has got the name meanwhile" {
    cp "$TINY" "$T/own.gguf"
    tiny_model seed=2 "$T/other.gguf"
    rbee up
    # It begins, and reads the file only when it may.
    mkfifo "$T/gate"
    mv "$T/bin/rbee-fetch" "$T/bin/real-fetch"
    printf '#!/bin/bash\ntouch "%s"\nread -r _ <"%s"\nexec "%s"\n' \
        "$T/begun" "$T/gate" "$T/bin/real-fetch" >"$T/bin/rbee-fetch"
    chmod 755 "$T/bin/rbee-fetch"
    local file
    for file in other own; do
        rbee model add "$T/own.gguf" --name v
        rbee model verify v >"$T/verify" 2>&1 3>&- &
        wait_until [ -e "$T/begun" ]
        rm "$T/begun"
        rbee model rm v
        [ "$file" = other ] || tiny_model seed=3 "$T/own.gguf"
        rbee model add "$T/$file.gguf" --name v
        echo >"$T/gate"
        assert_ends "$!" 1
        assert_equal "$(rbee model show v --json | jq -c '[.checksum,.sha256]')" '[null,null]'
        rbee model rm v
    done
}

@test "names that are not UTF-8 are refused, for rbee-fetch would be told others" {
    run env XDG_DATA_HOME="$T/"$'d\xff' rbee model pull hf:acme/tiny
    assert_failure 65
    assert_output --partial 'the folder of the models has a name that is not UTF-8'
    rbee model add "$TINY"
    rbee down
    python3 - "$STATE/rbee.db" <<'END'
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as db:
    db.execute("UPDATE models SET path = CAST(x'2f746dff2f78' AS TEXT)")
END
    rbee up
    run rbee model verify tiny
    assert_failure 65
    assert_output --partial 'the path of model tiny is not UTF-8'
}

@test "model rm says where the file is that stays; it can be pulled without a byte" {
    pull
    run --separate-stderr rbee model rm tiny
    assert_success
    assert_equal "$stderr" "rbee: forgotten; what was fetched stays, and goes with: rm '$PLACE'"
    assert_exist "$PLACE"
    pull
    assert_pulled
    assert_equal "$(asked_count)" 1
    # Of a model in parts: all of them, and nothing of another one's.
    "$TESTS_DIR/split_gguf.py" "$TINY" "$T/hub/acme/tiny/big" 3
    rbee model pull hf:acme/tiny/big-00001-of-00003.gguf
    cp "${PLACE%/*}/big-00001-of-00003.gguf" "${PLACE%/*}/big-x-00001-of-00003.gguf"
    run --separate-stderr rbee model rm big
    assert_regex "$stderr" "and goes with: rm '${PLACE%/*}/big'-"
    bash -c "${stderr#*goes with: }"
    assert_equal "$(cd "${PLACE%/*}" && echo *)" 'big-x-00001-of-00003.gguf tiny.gguf'
}

@test "the audit trail has who pulled what from where" {
    {
        echo 'audit { mode = local }'
        cat "$XDG_CONFIG_HOME/rbee/rbee.conf"
    } >"$T/conf"
    write_config <"$T/conf"
    pull
    assert_equal "$(rbee audit export | jq -c 'select(.kind == "model_pulled") |
        [.actor,.outcome,.details.model,.details.source,.details.sha256,.details.published]')" \
        "[\"uid:$(id -u)\",\"ok\",\"tiny\",\"hf:acme/tiny\",\"$(sha256sum "$TINY" | cut -d' ' -f1)\",true]"
    assert_equal "$(rbee metrics | sed -n 's/^rbee_hive_model_pull_bytes_total //p')" "$TINY_SIZE"
}

# ---- what is shown ----

# Runs a command with a terminal of COLUMNS as its stderr; what it shows is in $T/shown.
on_terminal() { # COLUMNS COMMAND...
    local columns=$1
    shift
    script -qec "stty cols $columns; $* >/dev/null" "$T/shown" </dev/null >/dev/null
}

@test "progress is for a terminal that can write over a line, and never wider than it" {
    rbee up
    hub_does <<<'cut 11000'
    TERM=xterm on_terminal 20 rbee model pull hf:acme/tiny
    assert_whole
    run grep -c '%' "$T/shown"
    assert_success
    # Lines that are written over; notes are none.
    assert_equal "$(tr '\r' '\n' <"$T/shown" | sed 's/\x1b\[[0-9;]*[mK]//g' | grep ' %' | awk 'length > 19')" ""
    rm "$PLACE"
    TERM=dumb on_terminal 80 rbee model pull hf:acme/tiny
    run grep -c ' %' "$T/shown"
    assert_failure
    rm "$PLACE"
    pull
    refute [ "${stderr#*" %"}" != "$stderr" ]
}
