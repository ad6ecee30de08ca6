# The house rules of tests/tidy.sh: the tree keeps them, and each of them can fail.

load helpers

setup() {
    FIXTURE=$(mktemp -d "${TMPDIR:-/tmp}/tidy.XXXXXX")
    cd "$FIXTURE" || return
    mkdir -p common tests/unit tests/fuzz/corpus
}

teardown() {
    rm -rf "$FIXTURE"
}

# Writes a file of the fixture from stdin, folders included.
put() {
    mkdir -p "$(dirname "$1")"
    cat >"$1"
}

# Runs the rules over the fixture; there is exactly one finding, of that rule, in that place.
assert_finding() { # RULE FILE:LINE
    run "$TESTS_DIR/tidy.sh" "$FIXTURE"
    assert_failure 1
    assert_equal "${#lines[@]}" 1
    assert_line --partial "$1: $2"
}

assert_clean() {
    run "$TESTS_DIR/tidy.sh" "$FIXTURE"
    assert_success
    assert_output ''
}

@test "the tree keeps the house rules" {
    run "$TESTS_DIR/tidy.sh" "$TREE_DIR"
    assert_output ''
    assert_success
}

@test "every rule has a test here that makes it fail" {
    local rule
    for rule in $("$TESTS_DIR/tidy.sh" --rules | cut -d' ' -f1); do
        grep -q "^@test \"rule $rule:" "$TESTS_DIR/tidy.bats" || fail "no test for the rule $rule"
    done
}

@test "a small tree that keeps every rule has no finding" {
    put common/thing.h <<'C'
/* Owns nothing. */
#ifndef RBEE_COMMON_THING_H
#define RBEE_COMMON_THING_H

struct thing;
int thing_count(const struct thing *thing); /* never calls sprintf(), system() or sleep() */

#endif
C
    put common/thing.c <<'C'
/* Owns nothing. */
#include "common/thing.h"

#include <string.h>

static const char *const NAMES[] = {"strcpy(a, b)", "fork()"};

int thing_count(const struct thing *thing)
{
    return thing != NULL && NAMES[0] != NULL;
}
C
    assert_clean
}

@test "rule include: common may not include db" {
    put db/store.h <<<'/* The store. */
#ifndef RBEE_DB_STORE_H
#define RBEE_DB_STORE_H
#endif'
    put common/thing.c <<<'/* A thing. */
#include "db/store.h"'
    assert_finding include common/thing.c:2
}

@test "rule include: of the dashboard the command line sees tui.h alone" {
    local name
    for name in tui canvas; do
        put "tui/$name.h" <<<"/* $name */
#ifndef RBEE_TUI_${name^^}_H
#define RBEE_TUI_${name^^}_H
#endif"
    done
    put cli/top.c <<<'/* rbee top. */
#include "tui/tui.h"
#include "tui/canvas.h"'
    assert_finding include cli/top.c:3
}

@test "rule include: a header is named from the root" {
    put common/thing.h <<<'/* A thing. */
#ifndef RBEE_COMMON_THING_H
#define RBEE_COMMON_THING_H
#endif'
    put common/thing.c <<<'/* A thing. */
#include "common/thin.h"'
    assert_finding include common/thing.c:2
}

@test "rule place: SQLite outside db/" {
    put supervisor/thing.c <<<'/* A thing. */
#include <sqlite3.h>'
    assert_finding place supervisor/thing.c:2
}

@test "rule place: a second reader of the clock" {
    put common/thing.c <<<'/* A thing. */
void f(void) { clock_gettime(0, 0); }'
    assert_finding place common/thing.c:2
}

@test "rule place: a second maker of processes" {
    put supervisor/thing.c <<<'/* A thing. */
int f(void) { return fork(); }'
    assert_finding place supervisor/thing.c:2
}

@test "rule banned: each call of the table is found" {
    local call
    local -a calls=(sprintf strcpy strcat gets system popen strtok rand sleep usleep atoi strdup)
    {
        echo '/* A thing. */'
        printf 'void f(void) { %s(); }\n' "${calls[@]}"
    } | put common/thing.c
    run "$TESTS_DIR/tidy.sh" "$FIXTURE"
    assert_failure 1
    assert_equal "${#lines[@]}" "${#calls[@]}"
    for call in "${calls[@]}"; do
        assert_line --regexp "^banned: common/thing.c:[0-9]+:void f\(void\) \{ $call\("
    done
}

@test "rule banned: a name that only ends like a banned call is none" {
    put common/thing.c <<<'/* A thing. */
void f(void) { xstrdup(""); thing->random(1); }'
    assert_clean
}

@test "rule length: a function of 71 lines" {
    {
        printf '/* A thing. */\nint f(void)\n{\n'
        yes '    ;' | head -n 69
        echo '}'
    } | put common/thing.c
    assert_finding length common/thing.c:3
}

@test "rule length: a function of 70 lines is allowed" {
    {
        printf '/* A thing. */\nint f(void)\n{\n'
        yes '    ;' | head -n 68
        echo '}'
    } | put common/thing.c
    assert_clean
}

@test "rule length: a file of 801 lines" {
    { echo '/* A thing. */'; yes '' | head -n 800; } | put common/thing.c
    assert_finding length common/thing.c:801
}

@test "rule typedef: a typedef" {
    put common/thing.c <<<'/* A thing. */
typedef struct thing thing_t;'
    assert_finding typedef common/thing.c:2
}

@test "rule opening: a file without its comment" {
    put common/thing.c <<<'int f(void);'
    assert_finding opening common/thing.c:1
}

@test "rule guard: a guard with another name" {
    put common/thing.h <<<'/* A thing. */
#ifndef THING_H
#define THING_H
#endif'
    assert_finding guard common/thing.h:1
}

@test "rule alone: a header that needs another one first" {
    put common/thing.h <<<'/* A thing. */
#ifndef RBEE_COMMON_THING_H
#define RBEE_COMMON_THING_H
uint32_t thing_count(void);
#endif'
    assert_finding alone common/thing.h:4
}

@test "rule table: a line that is no row" {
    put common/things.def <<<'/* Things. */
ROW(one, 1)
two, 2'
    assert_finding table common/things.def:3
}

@test "rule table: the same row twice" {
    put common/things.def <<<'/* Things. */
ROW(one, 1)
ROW(one,   1)'
    assert_finding table common/things.def:3
}

@test "rule words: an open end without its question" {
    put common/thing.c <<<'/* A thing.
 * NEEDSWORK: make this better */'
    assert_finding words common/thing.c:2
    put common/thing.c <<<'/* A thing. */
/* TODO */'
    assert_finding words common/thing.c:2
    put common/thing.c <<<'/* A thing.
 * NEEDSWORK: should a thing have a name of its own? */'
    assert_clean
}

@test "rule document: a document that is not there" {
    put common/thing.c <<<'/* A thing, as NOWHERE.md has it. */'
    assert_finding document common/thing.c:1
}

@test "rule machine: a path of somebody's home" {
    put README.md <<<'Look into /home/somebody/rbee.'
    assert_finding machine README.md:1
}

@test "rule folder: a folder that the design does not know" {
    put misc/thing.md <<<'Things.'
    assert_finding folder misc:1
}

@test "rule runner: a test that the runner would not find" {
    put tests/extra/thing.bats <<<'@test "x" { true; }'
    assert_finding runner tests/extra/thing.bats:1
    rm -r tests/extra
    put common/test_thing.c <<<'/* A test. */'
    assert_finding runner common/test_thing.c:1
    rm common/test_thing.c
    put tests/unit/thing.c <<<'/* A test. */'
    assert_finding runner tests/unit/thing.c:1
}

@test "rule corpus: a fuzz target without a corpus" {
    put tests/fuzz/fuzz_thing.c <<<'/* A target. */'
    assert_finding corpus tests/fuzz/fuzz_thing.c:1
}

@test "rule script: a script that cannot be run" {
    put scripts/thing.sh <<<'#!/bin/sh
# Does a thing.'
    assert_finding script scripts/thing.sh:1
}

@test "rule auto: an owner without an initialiser" {
    put common/thing.c <<<'/* A thing. */
void thing(void)
{
    AUTO_BUF struct buf text;
}'
    assert_finding auto common/thing.c:4
}

@test "rule log: what a reader of the log could not take apart" {
    local call
    for call in 'LOG_INFO, "x", "name=\"%s\"", a' 'LOG_INFO, "x", "name=%s more", a' \
        'LOG_INFO, "x", "part=%.2f", a'; do
        put common/thing.c <<END
/* A thing. */
void thing(void)
{
    log_event($call);
}
END
        assert_finding log common/thing.c:4
    done
    put common/thing.c <<'END'
/* A thing. */
void thing(void)
{
    log_event(is_bad ? LOG_WARN : LOG_INFO, "x",
              "name=%s bytes=%" PRIu64 " pid=%d error=%m at=%s:%d used=cpu count=%" PRId64,
              a, b, c, d, e, f);
}
END
    assert_clean
}

@test "rule global: a variable at file scope" {
    put common/thing.c <<<'/* A thing. */
static int thing_count = 0;'
    assert_finding global common/thing.c:2
}
