#!/usr/bin/env bats
# rbee model pull, against a hub that speaks the API of Hugging Face and misbehaves: in the
# end there is the right model, or a clear error; never a bad file under a good name; and what came is
# gone on with.

# shellcheck disable=SC2154 # $output and $stderr are of run

load pull_helpers

setup() { pull_setup; }
teardown() { rbee_teardown; }

assert_refused() { # EXIT CODE TEXT
    assert_failure "$1"
    assert_output ""
    assert [ "${stderr#*"$3"}" != "$stderr" ] || fail "no '$3' in: $stderr"
    assert_no_model
    run rbee model pull hf:acme/tiny --json
    assert_equal "$(jq -r .error.code <<<"${lines[-1]}")" "$2"
}

# ---- what is asked for ----

@test "a model is pulled: its name is on stdout, its file in its place, and it answers" {
    pull
    assert_pulled
    run --separate-stderr rbee infer -m tiny --raw -n 4 --temp 0 "a"
    assert_success
    assert_equal "$(rbee model show tiny --json | jq -c '[.source,.checksum,.sha256]')" \
        "[\"hf:acme/tiny\",\"published\",\"$(sha256sum "$TINY" | cut -d' ' -f1)\"]"
}

@test "with --json it is one object, and a name of one's own is taken" {
    run --separate-stderr rbee model pull hf:acme/tiny --name mine --json
    assert_success
    assert_equal "$(jq -c '[.name,.state,.path]' <<<"$output")" "[\"mine\",\"ok\",\"$PLACE\"]"
}

@test "of many files the best is taken, and that is said; a quantisation or a file can be named" {
    cp "$TINY" "$T/hub/acme/tiny/tiny-Q8_0.gguf"
    cp "$TINY" "$T/hub/acme/tiny/tiny-Q4_K_M.gguf"
    mkdir "$T/hub/acme/tiny/sub dir"
    cp "$TINY" "$T/hub/acme/tiny/sub dir/tiny-F16.gguf"
    hub_does <<<'page 2'
    pull
    assert_success
    assert_output tiny-q4_k_m
    assert_equal "$stderr" "$(printf '%s\n' 'rbee: starting rbeed' \
        'rbee: tiny-Q4_K_M.gguf (Q4_K_M, of Q4_K_M, Q8_0, F16)')"
    assert_equal "$(rbee model pull hf:acme/tiny:q8_0)" tiny-q8_0
    assert_equal "$(rbee model pull 'hf:acme/tiny/sub dir/tiny-F16.gguf')" tiny-f16
    run rbee model pull hf:acme/tiny:Q9
    assert_failure 67
    assert_output --partial 'it has: tiny-Q4_K_M.gguf, tiny-Q8_0.gguf, tiny.gguf, tiny-F16.gguf'
    run rbee model pull hf:acme/tiny/none.gguf
    assert_failure 67
}

@test "two files of a repository that have one name have two places" {
    local folder
    for folder in a b/c; do
        mkdir -p "$T/hub/acme/tiny/$folder"
        tiny_model "seed=${#folder}" "$T/hub/acme/tiny/$folder/same.gguf"
        assert_equal "$(rbee model pull "hf:acme/tiny/$folder/same.gguf" --name "of-${#folder}")" "of-${#folder}"
    done
    for folder in a b/c; do
        cmp "$T/hub/acme/tiny/$folder/same.gguf" "$(dirname "$PLACE")/$folder/same.gguf"
        assert_equal "$(rbee model verify "of-${#folder}")" "of-${#folder}: good"
    done
    assert_equal "$(find "$XDG_DATA_HOME" -name .part)" ""
    # Without a name of its own the second is refused, and not put over the first.
    run rbee model pull "hf:acme/tiny/a/same.gguf"
    assert_success
    run rbee model pull "hf:acme/tiny/b/c/same.gguf"
    assert_failure 1
    assert_output --partial 'model same is there already, with another file'
}

@test "what cannot be pulled is said before anything is asked" {
    local source
    for source in tiny ./tiny.gguf ftp://a/b.gguf; do
        run rbee model pull "$source"
        assert_failure 2
    done
    for source in hf:tiny hf:../tiny hf:a/.. 'hf:a/b:' hf:a/b/ 'hf:a/b:Q 4' 'http:///x.gguf' \
        "http://user:secret@127.0.0.1/x.gguf" 'http://a b/x.gguf'; do
        run rbee model pull "$source"
        assert_failure 65
        assert_output --partial 'rbee:'
    done
    run rbee model pull hf:acme/tiny/../../etc/x.gguf
    assert_failure 67
    assert_equal "$(asked_count)" 0
    assert_not_exist "$XDG_DATA_HOME/rbee/models/hf/acme/tiny"
}

@test "a repository that is not there, and a hub that is not" {
    run rbee model pull hf:acme/none
    assert_failure 67
    assert_output --partial 'there is no such repository'
    echo 'pull { endpoint = "http://127.0.0.1:1", retries = 1, retry_base = 1ms }' | tr ',' '\n' | write_config
    kill -HUP "$(test_processes rbeed)"
    wait_until rbee_says_new_endpoint
    pull
    assert_failure 75
    assert_equal "$(jq -r .error.code <<<"$(rbee model pull hf:acme/tiny --json 2>/dev/null)")" DOWNLOAD_FAILED
}
rbee_says_new_endpoint() { grep -q 'config_changed.*key=pull.endpoint' "$STATE/logs/rbeed.log"; }

@test "HF_ENDPOINT says where the hub is, and one that is wrong stops nobody" {
    write_config </dev/null
    HF_ENDPOINT=$HUB/ pull
    assert_pulled
    rbee down
    HF_ENDPOINT=nowhere start_rbeed
    assert_equal "$(grep -c variable_ignored "$T/rbeed.log")" 1
}

@test "a URL: no checksum, so a model must be read first; twice is once; its query is nobody's business" {
    run --separate-stderr rbee model pull "$HUB/files/acme/tiny/tiny.gguf?key=secret"
    assert_success
    assert_output tiny
    assert [ "${stderr#*not verified}" != "$stderr" ]
    assert_equal "$(rbee model show tiny --json | jq -c '[.source,.checksum]')" \
        "[\"$HUB/files/acme/tiny/tiny.gguf\",\"recorded\"]"
    assert_whole "$(rbee model show tiny --json | jq -r .path)"
    run rbee model pull "$HUB/files/acme/tiny/tiny.gguf?key=secret"
    assert_success
    assert_equal "$(rbee model show tiny --json | jq -r .checksum)" recorded
    run grep -rc secret "$STATE" "$XDG_DATA_HOME"
    refute_line --regexp ':[1-9]'
    run rbee model pull "$HUB/files/acme/tiny/"
    assert_failure 65
}

@test "two URLs that differ in their query alone are two files" {
    local key
    for key in 1 2; do # of one length
        tiny_model "seed=$key" "$T/hub/acme/get?file=$key"
        assert_equal "$(rbee model pull "$HUB/files/acme/get?file=$key" --name "of-$key" 2>/dev/null)" "of-$key"
    done
    for key in 1 2; do
        cmp "$T/hub/acme/get?file=$key" "$(rbee model show "of-$key" --json | jq -r .path)"
    done
}

@test "a file that is there is not fetched again, one that was damaged is" {
    pull
    assert_pulled
    pull
    assert_pulled
    assert_equal "$(asked_count)" 1
    printf x | dd of="$PLACE" bs=1 seek=5000 conv=notrunc status=none
    pull
    assert_pulled
    assert_equal "$(asked_count)" 2
}

@test "another file in its place is no more what its repository says" {
    pull
    assert_pulled
    tiny_model seed=2 "$PLACE"
    run rbee infer -m tiny --raw -n 1 --temp 0 "a"
    assert_success
    assert_equal "$(rbee model show tiny --json | jq -c '[.state,.source,.checksum,.sha256]')" \
        '["ok","hf:acme/tiny",null,null]'
}

@test "a name that is taken is refused before a byte is fetched" {
    cp "$TINY" "$T/other.gguf"
    rbee model add "$T/other.gguf" --name tiny
    pull
    assert_failure 1
    assert [ "${stderr#*--name gives it another name}" != "$stderr" ]
    assert_equal "$(asked_count)" 0
    assert_equal "$(rbee model pull hf:acme/tiny --name second)" second
}

@test "a model in parts is one model, and a part that is missing is said" {
    "$TESTS_DIR/split_gguf.py" "$TINY" "$T/hub/acme/tiny/big" 3
    hub_does <<<'cut 20000 2'
    run --separate-stderr rbee model pull hf:acme/tiny/big-00002-of-00003.gguf
    assert_success
    assert_output big
    assert_equal "$(ls -A "$(dirname "$PLACE")")" "$(printf 'big-0000%d-of-00003.gguf\n' 1 2 3)"
    run rbee infer -m big --raw -n 2 --temp 0 a
    assert_success
    # One of them gone: it alone is fetched.
    rm "$(dirname "$PLACE")/big-00003-of-00003.gguf" "$T/hub.log"
    run rbee model verify big
    assert_failure 1
    assert_output --partial 'big-00003-of-00003.gguf is gone'
    assert_output --partial 'to get it again: rbee model pull hf:acme/tiny/big'
    assert_equal "$(rbee model pull hf:acme/tiny/big-00001-of-00003.gguf)" big
    assert_equal "$(asked .path)" /acme/tiny/resolve/main/big-00003-of-00003.gguf
    assert_equal "$(rbee model verify big)" "big: good"
    rm "$T/hub/acme/tiny/big-00003-of-00003.gguf"
    run rbee model pull hf:acme/tiny/big-00001-of-00003.gguf
    assert_failure 67
    assert_output --partial 'lacks part 3 of 3'
}

@test "a pull that fails takes no model in parts away, and the next one makes it whole" {
    local fault folder part
    folder=$(dirname "$PLACE")
    "$TESTS_DIR/split_gguf.py" "$TINY" "$T/hub/acme/tiny/big" 2
    rm "$TINY"
    assert_equal "$(rbee model pull hf:acme/tiny)" big
    # Another second part: the hub has it not, cannot send it, and then it is none.
    { printf GGUF && head -c 9000 /dev/zero; } >"$T/hub/acme/tiny/big-00002-of-00002.gguf"
    for fault in 'status 404' 'status 500' ''; do
        hub_does <<<"$fault"
        run rbee model pull hf:acme/tiny
        assert_failure
        assert_equal "$(rbee model verify big)" "big: good"
        assert_not_exist "$PARTS/big-00001-of-00002.gguf"
    done
    assert_exist "$PARTS/big-00002-of-00002.gguf"
    # Both are others; a link that a killed rbee-fetch has left is not written to.
    ln "$folder/big-00001-of-00002.gguf" "$PARTS/"
    tiny_model seed=2 "$T/other.gguf"
    "$TESTS_DIR/split_gguf.py" "$T/other.gguf" "$T/hub/acme/tiny/big" 2
    hub_does <<<'status 500'
    run rbee model pull hf:acme/tiny
    assert_failure 75
    assert_equal "$(rbee model verify big)" "big: good"
    hub_does </dev/null
    assert_equal "$(rbee model pull hf:acme/tiny)" big
    for part in 1 2; do
        cmp "$T/hub/acme/tiny/big-0000$part-of-00002.gguf" "$folder/big-0000$part-of-00002.gguf"
    done
    # Without sums, of one that is missing: what is known is of both.
    hub_does <<<'no_sum'
    rm "$folder/big-00002-of-00002.gguf"
    assert_equal "$(rbee model pull hf:acme/tiny 2>/dev/null)" big
    assert_equal "$(rbee model verify big --json | jq -c '[.known,.good]')" '[true,true]'
    assert_not_exist "$PARTS"
}

# ---- faults ----

@test "cut off at each tenth: it goes on from there" {
    local tenth
    for tenth in 1 2 3 4 5 6 7 8 9; do
        hub_does <<<"cut $((TINY_SIZE * tenth / 10)) 1"
        rm -f "$T/hub.log" "$PLACE"
        pull
        assert_pulled
        assert_equal "$(asked | paste -sd' ')" " bytes=$((TINY_SIZE * tenth / 10))-"
    done
}

@test "cut off every time: each try brings something, and it is whole in the end" {
    hub_does <<<"cut $((TINY_SIZE / 10 + 1))"
    pull
    assert_pulled
    assert_equal "$(asked_count)" 10
}

@test "cut off every time by a hub without ranges: given up, and nothing has the name" {
    hub_does <<<"cut 50000
no_ranges"
    pull
    assert_refused 75 DOWNLOAD_FAILED "closed with $((TINY_SIZE - 50000)) bytes remaining"
    hub_does <<<'no_ranges'
    pull
    assert_pulled
}

@test "a hub without ranges: from the beginning" {
    hub_does <<<"cut 50000 1
no_ranges"
    pull
    assert_pulled
    assert_equal "$(asked | paste -sd' ')" " bytes=50000-"
}

@test "a range that is another one, and ranges that are refused: from the beginning" {
    local fault at=50000
    for fault in odd_range no_such_range; do
        rm -f "$PLACE" "$T/hub.log"
        at=$((at + 1))
        hub_does <<<"cut $at 1
$fault"
        pull
        assert_pulled
        assert_equal "$(asked | paste -sd,)" ",bytes=$at-,"
    done
}

@test "a wrong checksum: nothing is kept" {
    hub_does <<<'wrong_sum'
    pull
    assert_refused 76 CHECKSUM_MISMATCH "the checksum of tiny.gguf is wrong"
    assert_not_exist "$PARTS"
}

@test "a byte that is another one: found, and once more what was pieced together" {
    hub_does <<<'flip 70000'
    pull
    assert_refused 76 CHECKSUM_MISMATCH "wrong"
    rm "$T/hub.log"
    hub_does <<<'flip 20000 1
cut 50000 1'
    pull
    assert_pulled
    assert_equal "$(asked | paste -sd,)" ",bytes=50000-,"
}

@test "404, 401 and 403: each says what it is" {
    hub_does <<<'status 404'
    pull
    assert_refused 67 MODEL_NOT_FOUND 'there is no such repository or file (404)'
    hub_does <<<'token let-me-in-please-1'
    pull
    assert_refused 67 MODEL_NOT_FOUND 'wants a token: pull.token_file'
    hub_does <<<'status 401'
    pull
    assert_refused 77 FORBIDDEN 'wants a token'
    hub_does <<<'gated'
    pull
    assert_refused 77 FORBIDDEN 'accept its terms'
}

@test "the token comes from a file that is nobody else's, and is shown to the hub alone" {
    printf 'let-me-in-please-1\n' >"$T/secret"
    chmod 644 "$T/secret"
    pull_config <<<"token_file = \"$T/secret\""
    hub_does <<<'token let-me-in-please-1'
    pull
    assert_refused 78 INVALID_CONFIG 'chmod 600'
    chmod 600 "$T/secret"
    pull
    assert_pulled
    # Elsewhere: another address, and so another place.
    start_hub away 127.0.0.2
    hub_does <<<"token let-me-in-please-1
redirect $HUB_URL"
    rm "$PLACE"
    pull
    assert_pulled
    assert_equal "$(jq -r .authorization "$T/hub.log" | sort -u)" "Bearer let-me-in-please-1"
    assert_equal "$(jq -r '[.path,.authorization] | join(" ")' "$T/away.log")" "/files/acme/tiny/tiny.gguf "
    # The same address with another port is another place, too.
    start_hub beside
    hub_does <<<"token let-me-in-please-1
redirect $HUB_URL"
    rm "$PLACE"
    pull
    assert_pulled
    assert_equal "$(jq -r .authorization "$T/beside.log")" ""
    # And a URL that is not the hub's does not see it either.
    rbee model pull "$HUB_URL/files/acme/tiny/tiny.gguf" --name other
    assert_equal "$(jq -r .authorization "$T/beside.log" | sort -u)" ""
    run grep -rl let-me-in "$STATE"
    assert_output ""
}

@test "what is on this machine is asked without a proxy, which would see the token" {
    start_hub proxy
    printf 'let-me-in-please-1\n' >"$T/secret"
    chmod 600 "$T/secret"
    ENDPOINT=${HUB/127.0.0.1/localhost} pull_config <<<"token_file = \"$T/secret\""
    hub_does <<<'token let-me-in-please-1'
    http_proxy=$HUB_URL all_proxy=$HUB_URL pull
    assert_pulled
    assert_not_exist "$T/proxy.log"
    # The proxy is for other hosts.
    pull_config <<<'retries = 0'
    sed -i 's,endpoint = .*,endpoint = "http://hub.invalid",' "$XDG_CONFIG_HOME/rbee/rbee.conf"
    rbee down
    rm "$PLACE"
    http_proxy=$HUB_URL pull
    assert_success
    assert_equal "$(jq -r .authorization "$T/proxy.log" | sort -u)" ""
}

@test "Hugging Face's own token file is used, unless others can read it" {
    mkdir -p "$HOME/.cache/huggingface"
    printf 'let-me-in-please-1' >"$HOME/.cache/huggingface/token"
    chmod 644 "$HOME/.cache/huggingface/token"
    hub_does <<<'token let-me-in-please-1'
    pull
    assert_failure 67
    assert [ "${stderr#*chmod 600}" != "$stderr" ]
    chmod 600 "$HOME/.cache/huggingface/token"
    pull
    assert_pulled
}

@test "a certificate that nobody vouches for is refused, and not tried again" {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout "$T/key" -out "$T/certificate" 2>"$T/openssl.log"
    cat "$T/key" "$T/certificate" >"$T/tls"
    start_hub secure 127.0.0.1 --tls "$T/tls"
    run --separate-stderr rbee model pull "https${HUB_URL#http}/files/acme/tiny/tiny.gguf"
    assert_failure 76
    assert [ "${stderr#*certificate does not hold}" != "$stderr" ]
    refute [ "${stderr#*trying again}" != "$stderr" ]
    assert_not_exist "$T/secure.log"
    assert_no_model
}

@test "redirects without end are ended" {
    hub_does <<<'loop'
    pull
    assert_refused 76 PROTOCOL 'redirects more than 8 times'
}

@test "a busy hub is tried again; one that stays so, or asks for too long, is given up" {
    hub_does <<<'status 503 2
list_status 429 1'
    pull
    assert_pulled
    rm "$PLACE"
    rbee model rm tiny
    hub_does <<<'status 500'
    pull
    assert_refused 75 DOWNLOAD_FAILED 'too busy, or broken (500)'
    rm "$T/hub.log"
    hub_does <<<'status 429 99 3600'
    pull
    assert_failure 75
    assert_equal "$(asked_count)" 1
    assert_equal "$(rbee model pull hf:acme/tiny --json 2>/dev/null | jq .error.retry_after_ms)" 3600000
}

@test "silence in the middle: begun again from there" {
    pull_config <<<'stall = 300ms'
    hub_does <<<'stall 50000 1'
    pull
    assert_pulled
    assert_equal "$(asked | paste -sd,)" ",bytes=50000-"
}

@test "sizes that are not true, lengths that are not said, pages in the place of files" {
    hub_does <<<"list_size $((TINY_SIZE - 5))"
    pull
    assert_refused 76 PROTOCOL "the listing says that the file has $((TINY_SIZE - 5)) bytes, the server says $TINY_SIZE"
    hub_does <<<"length $((TINY_SIZE + 5))"
    pull
    assert_refused 76 PROTOCOL 'the listing says'
    hub_does <<<'no_length'
    pull
    assert_refused 76 PROTOCOL 'does not say how long the file is'
    hub_does <<<'encoded'
    pull
    assert_refused 76 PROTOCOL 'encoded'
    hub_does <<<'page_instead
no_sum'
    run --separate-stderr rbee model pull "$HUB/files/acme/tiny/tiny.gguf"
    assert_failure 65
    assert [ "${stderr#*no GGUF file}" != "$stderr" ]
    assert_no_model
    assert_equal "$(find "$XDG_DATA_HOME" -name '*.gguf*')" ""
}

@test "a disk without room for all of it: said before a byte is fetched" {
    hub_does <<<'list_size 1000000000000000'
    pull
    assert_refused 73 OUTPUT 'more are needed for the models, and the disk has'
    assert_equal "$(asked_count)" 0
}

@test "a disk that refuses in the middle: what came is kept, and gone on with" {
    rbee up
    # As a full disk: no file of rbeed's children may grow any more than to here.
    prlimit --pid "$(test_processes rbeed)" --fsize=60000:
    pull
    prlimit --pid "$(test_processes rbeed)" --fsize=unlimited:
    assert_failure 73
    assert [ "${stderr#*the next pull goes on from there}" != "$stderr" ]
    assert_not_exist "$PLACE"
    assert_equal "$(stat -c %s "$PARTS/tiny.gguf")" 60000
    pull
    assert_pulled
    assert_equal "$(asked | tail -n 1)" "bytes=60000-"
}

@test "listings that are none, and names that would be harmful" {
    hub_does <<<'list_text [1,'
    pull
    assert_refused 76 PROTOCOL 'the listing of the repository'
    hub_does <<<'list_text {"error":"no"}'
    pull
    assert_refused 76 PROTOCOL 'its listing is no list'
    rm "$TINY"
    local name
    for name in '../../evil.gguf' '.hidden.gguf' 'a/../../b.gguf' '/etc/x.gguf' 'a\u202eb.gguf' \
        'a\x1b]0;b.gguf' "it's.gguf" '-rf.gguf'; do
        hub_does <<<"list_more $name"
        pull
        assert_failure 67
        assert [ "${stderr#*the repository has no .gguf file}" != "$stderr" ]
    done
    assert_equal "$(find "$T" -name '*evil*' -o -name '*hidden*' -o -name 'b.gguf')" ""
}

@test "what is no model that runs is never named, whatever its checksum says" {
    tiny_model fault=past-end "$TINY"
    pull
    assert_refused 65 INVALID_MODEL 'what came is no model that can be run'
    # Its sum is right: it stays for a version of ours that can read it.
    assert_exist "$PARTS/tiny.gguf"
    hub_does <<<'no_sum'
    pull
    assert_failure 65
    assert_not_exist "$PARTS/tiny.gguf"
    assert_no_model
}
