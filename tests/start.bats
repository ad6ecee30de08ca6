# How little `rbee` needs to start. (What it costs in time: make bench.)

load helpers

setup() { rbee_setup; }
teardown() { rbee_teardown; }

# What a command alone needs is loaded when it is needed, but for ncurses, which costs 0.2 ms
# (ARCHITECTURE.md, "The dashboard", says why).
@test "rbee links only what every command needs to start, and ncurses" {
    local library
    for library in $(ldd "$T/bin/rbee" | awk '{ print $1 }' | xargs -n1 basename | cut -d. -f1); do
        case $library in
        linux-vdso | ld-linux-x86-64 | ld-linux-aarch64 | libc) ;;
        libevent_core-2 | libjansson | libconfuse | libllhttp) ;;
        libncursesw | libtinfo) ;;
        libasan | libubsan | libtsan | libm | libdl | librt | libgcc_s | libpthread | libstdc++) ;;
        *) fail "rbee links $library" ;;
        esac
    done
}

@test "rbee --version opens no socket, reads no configuration and starts nothing" {
    write_config <<<'this is no configuration'
    run rbee --version
    assert_success
    assert_output --regexp '^rbee [0-9]+\.[0-9]+\.[0-9]+$'
    assert_no_process
    assert_no_file "$XDG_RUNTIME_DIR"
    assert_no_file "$XDG_STATE_HOME"
}
