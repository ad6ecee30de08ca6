# The manual: current, without a word of complaint from two formatters, and saying what --help says.

# shellcheck disable=SC2154 # $output is of run

load helpers

setup() {
    rbee_setup
    MAN=$TREE_DIR/man
}
teardown() { rbee_teardown; }

# The names of all commands and groups, from --help: first the words of the top.
all_commands() {
    local name
    rbee help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z -]*[a-z]\) .*/\1/p' | sed 's/  .*//'
}

@test "what is committed is what the tables give" {
    "$RBEE_BUILD/tests/generate" "$TREE_DIR" out
    run diff -r -x rbeed.8 -x prose.def out/man "$MAN" # those are written by hand
    assert_output '' # else: make generated
}

@test "mandoc has nothing to say of any page" {
    command -v mandoc >/dev/null || skip "there is no mandoc here"
    # It looks for the pages referred to where they would be installed; the next test looks here.
    run bash -c 'mandoc -Tlint "$@" | grep -v "referenced manual not found"' lint "$MAN"/*.[1578]
    assert_output ''
}

@test "every page that is referred to is there" {
    local page
    while read -r page; do
        assert_file_exists "$MAN/$page"
    done < <(sed -nE 's/^\.(It )?Xr ([^ ]+) ([1-8]).*/\2.\3/p' "$MAN"/*.[1578] | sort -u)
}

@test "man shows every page without a warning" {
    command -v man >/dev/null || skip "there is no man here"
    local page
    for page in "$MAN"/*.[1578]; do
        run --separate-stderr man --warnings=all -l "$page"
        assert_success
        assert_equal "$stderr" ''
        [ "${#lines[@]}" -gt 10 ] || fail "$page is nearly empty"
    done
}

@test "help lists every command of the table" {
    assert_equal "$(all_commands)" "$(sed -nE 's/^COMMAND\([A-Z_]+, *"([^"]+)".*/\1/p' "$TREE_DIR/cli/commands.def")"
    [ "$(all_commands | wc -l)" -gt 1 ]
}

# What stands in a page between that heading and the next list or heading, as one line.
description() { # PAGE
    sed -nE '/^\.Sh DESCRIPTION/,/^\.(Sh OPTIONS|Ss|Bl) /{/^\.(Sh|Ss|Bl)/!p}' "$1" | paste -sd' '
}

@test "every command has a page with a description of its own, and so has every group" {
    local name page summary words
    local -A seen=()
    while IFS= read -r name; do
        page=$MAN/rbee-${name// /-}.1
        assert_file_exists "$page"
        words=$(description "$page")
        summary=$(sed -nE 's/^\.Nd "(.*)"$/\1/p' "$page")
        [ -n "$words" ] && [ "${words,,}" != "${summary,,}." ] || fail "the page of $name says no more than \"$summary\""
        [ -z "${seen[$words]-}" ] || fail "the pages of $name and ${seen[$words]} say the same"
        seen[$words]=$name
    done < <(all_commands; all_commands | sed -n 's/ .*//p' | sort -u)
}

@test "a page has each option and each summary that --help has" {
    local name text option
    while IFS= read -r name; do
        text=$(mandoc -Tascii "$MAN/rbee-${name// /-}.1" | col -bx | tr -s ' \n' ' ')
        # shellcheck disable=SC2086 # two words
        while IFS= read -r option; do
            [[ $text == *"$option"* ]] || fail "the page of $name does not tell of $option"
        done < <(rbee help $name | sed -n '/^Options:/,/^$/s/^  *\(-[a-z], \)*\(--[a-z-]*\).*/\2/p')
    done < <(all_commands)
}

@test "every exit code that a failure has stands in rbee-exit(7), and every error" {
    local wire http code _
    while IFS='(,' read -r _ _ wire http code _; do
        run grep -E "^\.It ${wire//[ \"]/} Ta $((http)) Ta $((code)) " "$MAN/rbee-exit.7"
        assert_success
        grep -qx ".It $((code))" "$MAN/rbee-exit.7" || fail "$code is not told"
    done < <(grep '^ERROR(' "$TREE_DIR/common/errors.def")
}

@test "every key of the configuration stands in rbee.conf(5)" {
    local key
    while IFS= read -r key; do
        grep -qx ".It Ic $key" "$MAN/rbee.conf.5" || fail "$key is not told"
    done < <(rbee config show --json | jq -r '.settings[].key')
}
