/* rbee.conf: what is taken, what is refused and where, and which of two files counts. */
#include "common/config.h"

#include "common/config_values.h"
#include "common/io.h"
#include "tests/folder_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* The configuration in TEXT; the caller frees it. */
static struct config *load(const char *text, struct err *err)
{
    AUTO_FREE char *path = temp_folder_write(folder, "rbee.conf", text, 0600);

    err_clear(err);
    return config_load(path, err);
}

static void defaults_hold_without_a_file(void **state)
{
    struct config *config = config_new_default();

    assert_int_equal(config_number(config, CONFIG_limits_queue), 64);
    assert_int_equal(config_number(config, CONFIG_limits_body), 4 << 20);
    assert_int_equal(config_number(config, CONFIG_life_idle_stop), 300000);
    assert_string_equal(config_text(config, CONFIG_supervisor_socket), "");
    assert_int_equal(config_worker_count(config), 0);
    for (int key = 0; key < CONFIG_KEY_COUNT; key++)
        assert_int_equal(config_origin(config, key), CONFIG_FROM_DEFAULT);
    config_free(config);
    config_free(NULL);
}

static void a_file_is_read(void **state)
{
    struct err err = ERR_INIT;
    struct config *config = load("# comment with \" and { and ${HOME}\n"
                                 "supervisor {\n"
                                 "  default_model = 'smollm2 # no comment'\n"
                                 "  worker_program = /opt//rbee-worker // this is one\n"
                                 "}\n"
                                 "/* } */ limits { queue = 3 body = \"1KiB\" }\n"
                                 "life { idle_stop = off }\r\n"
                                 "limits { clients = 7 }\n"
                                 "audit { mode = local }\n"
                                 "worker small { model = \"a \\\"b\\\" \\\\ c\" autostart = yes }\n"
                                 "worker empty {\n}\n",
                                 &err);

    assert_string_equal(err.message, "");
    assert_non_null(config);
    assert_string_equal(config_text(config, CONFIG_supervisor_default_model),
                        "smollm2 # no comment");
    assert_string_equal(config_text(config, CONFIG_supervisor_worker_program), "/opt//rbee-worker");
    assert_int_equal(config_number(config, CONFIG_limits_queue), 3);
    assert_int_equal(config_number(config, CONFIG_limits_body), 1024);
    assert_int_equal(config_number(config, CONFIG_limits_clients), 7);
    assert_int_equal(config_number(config, CONFIG_life_idle_stop), 0);
    assert_int_equal(config_origin(config, CONFIG_limits_queue), CONFIG_FROM_USER);
    assert_int_equal(config_origin(config, CONFIG_limits_bodies), CONFIG_FROM_DEFAULT);
    assert_string_equal(config_text(config, CONFIG_audit_mode), "local");
    assert_string_equal(config_text(config, CONFIG_audit_on_full), "block"); /* the first word */
    assert_int_equal(config_worker_count(config), 2);
    assert_string_equal(config_worker_name(config, 0), "small");
    assert_string_equal(config_worker_text(config, 0, CONFIG_WORKER_model), "a \"b\" \\ c");
    assert_int_equal(config_worker_number(config, 0, CONFIG_WORKER_autostart), 1);
    assert_string_equal(config_worker_name(config, 1), "empty");
    assert_string_equal(config_worker_text(config, 1, CONFIG_WORKER_device), "cpu");
    assert_string_equal(config_worker_text(config, 1, CONFIG_WORKER_command), "");
    assert_string_equal(config_worker_text(config, 1, CONFIG_WORKER_health), "/health");
    config_free(config);
}

static void assert_refused(const char *text, int line, const char *reason)
{
    struct err err = ERR_INIT;
    AUTO_FREE char *expected = xasprintf("%s/rbee.conf:%d: %s", folder, line, reason);

    assert_null(load(text, &err));
    assert_int_equal(err.kind, ERR_CONFIG);
    if (strncmp(err.message, expected, strlen(expected)) != 0)
        fail_msg("%s\n  gave     %s\n  expected %s", text, err.message, expected);
}

/* Each fault is refused with the line it is on. */
static void a_fault_is_named_with_its_line(void **state)
{
    static const struct {
        const char *text;
        int line;
        const char *reason;
    } CASES[] = {
        {"limits { queu = 3 }", 1, "unknown key queu in limits; did you mean queue?"},
        {"\nlimit {}", 2, "unknown key limit; did you mean limits?"},
        {"queue = 3", 1, "unknown key queue; it belongs into limits { }"},
        {"life {\n queue = 3 }", 2, "unknown key queue in life; it belongs into limits { }"},
        {"worker a {\n modle = x\n}", 2, "unknown key modle in worker; did you mean model?"},
        {"frobnicate { }", 1, "unknown key frobnicate"},
        {"# one\n# two\n/* three\nfour */\nlimits { x = 1 }", 5, "unknown key x in limits"},
        {"limits {\n queue = 3\n queue = 4\n}", 3, "limits.queue is set twice"},
        {"limits { queue = 3 }\nlimits { queue = 3 }", 2, "limits.queue is set twice"},
        {"worker a { }\nworker a { }", 2, "found duplicate title 'a'"},
        {"worker a {\n context = 1\n context = 2 }", 3, "worker a.context is set twice"},
        {"\nworker A { }", 2, "worker: \"A\" cannot be a name: 1 to 64 of a-z"},
        {"worker { }", 1, "missing title"},
        {"worker rbeed { }", 1, "worker: \"rbeed\" cannot be a name: the supervisor is called so"},
        {"audit { mode = loca }", 1, "audit.mode: \"loca\" is none of off|local"},
        {"audit { mode = off|local }", 1, "audit.mode: \"off|local\" is none of off|local"},
        {"audit { mode = '' }", 1, "audit.mode: \"\" is none of off|local"},
        {"limits { queue = many }", 1, "limits.queue: \"many\" is not a whole number"},
        {"limits { queue = -1 }", 1, "limits.queue: -1 is not in 0 to 65536"},
        {"limits { clients = 0 }", 1, "limits.clients: 0 is not in 1 to 65536"},
        {"limits { queue = 99999999999999999999 }", 1, "limits.queue: 999999"},
        {"life { drain = 2h }", 1, "life.drain: 2h is not in 0 to 1h"},
        {"life { drain = 30 }", 1, "life.drain: \"30\" is not a duration"},
        {"life { load_timeout = off }", 1, "life.load_timeout: off is not in 1s to 24h"},
        {"limits { body = 1B }", 1, "limits.body: \"1B\" is not a size"},
        {"limits { body = 2GiB }", 1, "limits.body: 2GiB is not in 1KiB to 1GiB"},
        {"worker a { autostart = maybe }", 1, "worker a.autostart: \"maybe\" is not true or false"},
        {"worker a { context = 2000000 }", 1, "worker a.context: 2000000 is not in 0 to 1048576"},
        {"limits { queue = 1", 1, "the section that begins here is not closed"},
        {"\n\nlimits {\n queue = 1\n", 3, "the section that begins here is not closed"},
        {"}", 1, "} without a section"},
        {"\n/* open\n", 2, "the comment is not closed"},
        {"/*/", 1, "the comment is not closed"},
        {"worker a { model = \"open\n}", 1, "the text is not closed on its line"},
        {"worker a { model = 'open", 1, "the text is not closed on its line"},
        {"worker a { model = a#b }", 1, "# or /* inside a word"},
        {"worker a { model = a/*b*/ }", 1, "# or /* inside a word"},
        {"worker a { model = \"\\x41\" }", 1, "a backslash stands before"},
        {"worker a { model = \"\\", 1, "a backslash stands before"},
        {"supervisor { socket = ${HOME}/x }", 1, "${...} is not replaced here"},
        {"supervisor {\n socket = \"${HOME}/x\" }", 2, "${...} is not replaced here"},
        {"include(\"/etc/passwd\")", 1, "unknown key include"},
        {"limits { queue = {1, 2} }", 1, "unexpected token '{'"},
        {"limits { queue += 1 }", 1, "attempt to append to non-list option 'queue'"},
        {"limits { queue }", 1, "missing equal sign after option 'queue'"},
        {"limits { limits { } }", 1, "unknown key limits in limits"},
        {"limits = 3", 1, "missing opening brace"},
        {"limits { queue = }", 1, "unexpected token '}'"},
        {"supervisor { socket = s }", 1, "supervisor.socket: the path \"s\" must be absolute"},
        {"supervisor { worker_program = ./w }", 1, "supervisor.worker_program: the path \"./w\""},
        {"a\x01", 1, "control character 0x01"},
        {"worker a { model = \"\x1b[31m\" }", 1, "control character in a text"},
        {"worker a { model = \"\xe2\x80\xae\" }", 1, "worker a.model: text with control"},
        {"\n\xff", 2, "invalid UTF-8"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        assert_refused(CASES[i].text, CASES[i].line, CASES[i].reason);
}

static void a_fault_of_a_command_is_named_with_its_line(void **state)
{
    static const struct {
        const char *text;
        int line;
        const char *reason;
    } CASES[] = {
        {"worker a {\n\n command = \"x 'y {port}\"\n}", 3,
         "worker a.command: ' at position 3 is not closed"},
        {"worker a {\n command = \"x {prot}\"\n}", 2,
         "worker a.command: word 2: {prot} is no place"},
        {"worker a {\n\n command = \"x {port} {model}\"\n\n}", 3,
         "worker a.command has {model}, and the worker has no model"},
        {"worker a {\n context = 9\n command = \"x {port}\"\n}", 3,
         "worker a.context is for rbee-worker"},
        {"worker a {\n command = \"x {port}\"\n kv_type = q8_0\n}", 2,
         "worker a.kv_type is for rbee-worker"},
        {"worker a { device = abacus }", 1,
         "worker a.device: device must be \"cpu\", \"gpu\" or \"gpu:ID\""},
        {"pull { endpoint = huggingface.co }", 1, "pull.endpoint: must be a URL as https://hugg"},
        {"pull { endpoint = \"https://\" }", 1, "pull.endpoint: must be a URL"},
        {"pull { endpoint = \"https://u:p@h\" }", 1, "pull.endpoint: must be a URL"},
        {"pull { endpoint = \"https://h?x\" }", 1, "pull.endpoint: must be a URL"},
        {"worker a { device = \"gpu:\" }", 1, "worker a.device: device must be"},
        {"worker a { device = \"\" }", 1, "worker a.device: device must be"},
        {"worker a { health = health }", 1, "worker a.health: \"health\" does not begin with /"},
        {"worker a { health = \"/a b\" }", 1, "worker a.health: \"/a b\" has other than printable"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        assert_refused(CASES[i].text, CASES[i].line, CASES[i].reason);
}

/* libconfuse prints to stderr unless it is kept from it; what is said goes into err alone. */
static void nothing_is_printed(void **state)
{
    AUTO_FREE char *path = paths_join(folder, "stderr");
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    AUTO_CLOSE int saved = dup(STDERR_FILENO);
    struct err err = ERR_INIT;
    struct stat info;

    assert_true(dup2(fd, STDERR_FILENO) >= 0);
    assert_null(load("limits { queue = { } nonsense", &err));
    assert_null(load("worker a { model = b c d }", &err));
    assert_null(load("limits { queue = 1 } }", &err));
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    assert_int_equal(fstat(fd, &info), 0);
    assert_int_equal(info.st_size, 0);
}

static void who_may_write_the_file_decides(void **state)
{
    static const unsigned MODES[] = {0600, 0644, 0400, 0620, 0602, 0666, 0664};

    for (size_t i = 0; i < ARRAY_COUNT(MODES); i++) {
        AUTO_FREE char *path = temp_folder_write(folder, "rbee.conf", "", MODES[i]);
        AUTO_FREE char *mode_text = xasprintf("%04o", MODES[i]);
        struct err err = ERR_INIT;
        struct config *config = config_load(path, &err);

        assert_int_equal(config != NULL, (MODES[i] & 022) == 0);
        if (config == NULL) {
            assert_int_equal(err.kind, ERR_CONFIG);
            assert_non_null(strstr(err.message, mode_text));
            assert_non_null(strstr(err.message, "chmod go-w"));
        }
        config_free(config);
        (void)unlink(path);
    }
    if (geteuid() == 0) {
        AUTO_FREE char *path = temp_folder_write(folder, "rbee.conf", "", 0600);
        struct err err = ERR_INIT;

        assert_int_equal(chown(path, 12345, 12345), 0);
        assert_null(config_load(path, &err));
        assert_int_equal(err.kind, ERR_CONFIG);
    }
}

static void a_named_file_must_be_there_and_be_one(void **state)
{
    AUTO_FREE char *missing = paths_join(folder, "missing");
    AUTO_FREE char *huge = xcalloc(300 * 1024, 1);
    struct err err = ERR_INIT;

    assert_null(config_load(missing, &err));
    assert_int_equal(err.kind, ERR_NO_FILE);
    assert_null(config_load(folder, &err));
    assert_int_equal(err.kind, ERR_CONFIG);
    memset(huge, '#', 300 * 1024 - 1);
    assert_null(load(huge, &err));
    assert_int_equal(err.kind, ERR_CONFIG);
}

/* The system file's place is fixed, so that only the user's can be moved here. */
static void without_a_name_the_users_file_is_found(void **state)
{
    AUTO_FREE char *place = paths_join(folder, "rbee");
    AUTO_FREE char *path = NULL;
    struct err err = ERR_INIT;
    struct config *config = NULL;

    assert_int_equal(setenv("XDG_CONFIG_HOME", folder, 1), 0);
    config = config_load(NULL, &err);
    assert_non_null(config);
    config_free(config);
    assert_int_equal(io_make_folders(place, 0700, &err), 0);
    path = temp_folder_write(place, "rbee.conf", "limits { queue = 5 }", 0600);
    config = config_load(NULL, &err);
    assert_non_null(config);
    assert_int_equal(config_number(config, CONFIG_limits_queue), 5);
    assert_int_equal(config_origin(config, CONFIG_limits_queue), CONFIG_FROM_USER);
    config_free(config);
    assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
}

/* The system file's place is fixed: here two files of the test's own stand for both. */
static void the_users_file_lies_over_the_systems_key_by_key(void **state)
{
    AUTO_FREE char *system = temp_folder_write(folder, "system",
                                               "limits { queue = 1 clients = 2 }\n"
                                               "worker both { model = s context = 512 }\n"
                                               "worker theirs { model = s }\n",
                                               0600);
    AUTO_FREE char *user = temp_folder_write(folder, "user",
                                             "limits { queue = 3 }\n"
                                             "worker ours { }\n"
                                             "worker both { model = u }\n",
                                             0600);
    struct config *config = config_new_default();
    struct err err = ERR_INIT;
    bool is_missing = true;

    assert_int_equal(config_file_read(config, system, CONFIG_FROM_SYSTEM, &is_missing, &err), 0);
    assert_false(is_missing);
    assert_int_equal(config_file_read(config, user, CONFIG_FROM_USER, &is_missing, &err), 0);
    assert_int_equal(config_number(config, CONFIG_limits_queue), 3);
    assert_int_equal(config_origin(config, CONFIG_limits_queue), CONFIG_FROM_USER);
    assert_int_equal(config_number(config, CONFIG_limits_clients), 2);
    assert_int_equal(config_origin(config, CONFIG_limits_clients), CONFIG_FROM_SYSTEM);
    assert_int_equal(config_worker_count(config), 3);
    assert_string_equal(config_worker_name(config, 0), "both");
    assert_string_equal(config_worker_text(config, 0, CONFIG_WORKER_model), "u");
    assert_int_equal(config_worker_number(config, 0, CONFIG_WORKER_context), 512);
    assert_string_equal(config_worker_name(config, 2), "ours");
    config_free(config);
}

static void a_flag_lies_over_the_file_and_is_checked_as_well(void **state)
{
    struct err err = ERR_INIT;
    struct config *config = load("limits { queue = 5 }", &err);

    assert_int_equal(config_override(config, CONFIG_limits_queue, "9", &err), 0);
    assert_int_equal(config_number(config, CONFIG_limits_queue), 9);
    assert_int_equal(config_origin(config, CONFIG_limits_queue), CONFIG_FROM_FLAG);
    assert_int_equal(config_override(config, CONFIG_limits_queue, "many", &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
    assert_string_equal(err.message, "limits.queue: \"many\" is not a whole number");
    assert_int_equal(config_number(config, CONFIG_limits_queue), 9);
    assert_int_equal(config_override(config, CONFIG_supervisor_socket, "/a\nb", &err), -1);
    config_free(config);
}

/* Whatever config_value_text prints reads back as the same value. */
static void values_print_as_they_stand_in_a_file(void **state)
{
    static const struct {
        enum config_key key;
        const char *value;
        const char *text;
    } CASES[] = {
        {CONFIG_life_drain, "30s", "30s"},
        {CONFIG_life_drain, "90s", "90s"},
        {CONFIG_life_drain, "60000ms", "1m"},
        {CONFIG_life_drain, "1h", "1h"},
        {CONFIG_life_drain, "1500ms", "1500ms"},
        {CONFIG_life_drain, "off", "0"},
        {CONFIG_limits_body, "4194304", "4MiB"},
        {CONFIG_limits_body, "1025", "1025"},
        {CONFIG_limits_body, "1048576KiB", "1GiB"},
        {CONFIG_limits_queue, "007", "7"},
        {CONFIG_supervisor_socket, "", "\"\""},
        {CONFIG_supervisor_socket, "/a \"b\" \\ '#{}", "\"/a \\\"b\\\" \\\\ '#{}\""},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        const struct config_key_info *info = config_key_info(CASES[i].key);
        struct err err = ERR_INIT;
        struct config *config = config_new_default();
        struct config *again = NULL;
        AUTO_FREE char *text = NULL;
        AUTO_FREE char *file = NULL;
        AUTO_FREE char *text_again = NULL;

        assert_int_equal(config_override(config, CASES[i].key, CASES[i].value, &err), 0);
        text = config_value_text(config, CASES[i].key);
        assert_string_equal(text, CASES[i].text);
        file = xasprintf("%s {\n%s = %s\n}\n", info->section, info->key, text);
        again = load(file, &err);
        assert_string_equal(err.message, "");
        text_again = config_value_text(again, CASES[i].key);
        assert_string_equal(text_again, text);
        config_free(again);
        config_free(config);
    }
}

static void every_default_prints_and_reads_back(void **state)
{
    struct config *config = config_new_default();
    AUTO_BUF struct buf file = BUF_INIT(1 << 16);
    struct err err = ERR_INIT;
    struct config *again = NULL;

    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        AUTO_FREE char *text = config_value_text(config, key);

        assert_int_equal(buf_printf(&file, "%s { %s = %s }\n", config_key_info(key)->section,
                                    config_key_info(key)->key, text),
                         0);
    }
    again = load(file.data, &err);
    assert_string_equal(err.message, "");
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        assert_int_equal(config_origin(again, key), CONFIG_FROM_USER);
        if (!config_type_is_text(config_key_info(key)->type))
            assert_true(config_number(again, key) == config_number(config, key));
    }
    config_free(again);
    config_free(config);
}

static void the_table_of_keys_is_sound(void **state)
{
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        const struct config_key_info *info = config_key_info(key);

        assert_true(info->summary[0] != '\0' && info->min >= 0 && info->min <= info->max);
        for (int other = 0; other < key; other++)
            assert_false(strcmp(config_key_info(other)->section, info->section) == 0 &&
                         strcmp(config_key_info(other)->key, info->key) == 0);
    }
}

static void names_are_plain(void **state)
{
    static const char *const GOOD[] = {"a", "7", "smollm2-135m-instruct", "a.b_c-d", "rbeed2"};
    static const char *const BAD[] = {"",   "A",        ".a",  "-a", "_a",          "a b",
                                      "a/", "\xc3\xa9", "a\n", "..", "caf\xc3\xa9", "rbeed"};
    char text[CONFIG_NAME_MAX_BYTES + 2] = "";

    for (size_t i = 0; i < ARRAY_COUNT(GOOD); i++)
        assert_true(config_name_is_valid(GOOD[i]));
    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++)
        assert_false(config_name_is_valid(BAD[i]));
    memset(text, 'a', CONFIG_NAME_MAX_BYTES);
    assert_true(config_name_is_valid(text));
    text[CONFIG_NAME_MAX_BYTES] = 'a';
    assert_false(config_name_is_valid(text));
}

/* A relative path would be taken for a name that nothing has, or be looked for in another folder
 * than it was written for. */
static void a_model_is_a_name_or_an_absolute_path(void **state)
{
    static const char *const GOOD[] = {"", "m", "Qwen 2", "/m.gguf", "/m", "/a/../m.gguf", "m.ggu"};
    static const char *const BAD[] = {"./m.gguf", "m.gguf", "M.GGUF", "m/", "a/b", "../m", "~/m"};
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_COUNT(GOOD); i++) {
        AUTO_FREE char *text = xasprintf("worker a { model = \"%s\" }", GOOD[i]);
        AUTO_CONFIG struct config *config = load(text, &err);

        assert_non_null(config);
        assert_string_equal(config_worker_text(config, 0, CONFIG_WORKER_model), GOOD[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++) {
        AUTO_FREE char *text = xasprintf("worker a {\n model = \"%s\" }", BAD[i]);
        AUTO_FREE char *reason =
            xasprintf(":2: worker a.model: the path \"%s\" must be absolute", BAD[i]);

        assert_null(load(text, &err));
        assert_int_equal(err.kind, ERR_CONFIG);
        assert_non_null(strstr(err.message, reason));
    }
    assert_null(load("supervisor { default_model = m.gguf }", &err));
}

static void an_address_is_numeric_or_off(void **state)
{
    static const char *const GOOD[] = {"off",        "127.0.0.1:7833", "localhost:1",
                                       "[::1]:7833", "0.0.0.0:80",     "http://10.0.0.1:7833"};
    static const char *const BAD[] = {"", "on", "7833", "gpu.lan:7833", "unix:/run/x", "127.0.0.1"};
    struct config *config = config_new_default();
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_COUNT(GOOD); i++)
        assert_int_equal(config_override(config, CONFIG_supervisor_listen, GOOD[i], &err), 0);
    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++)
        assert_int_equal(config_override(config, CONFIG_supervisor_listen, BAD[i], &err), -1);
    config_free(config);
}

/* What a running program reads again is the file; what its command line said stays. */
static void a_second_reading_keeps_the_flags(void **state)
{
    AUTO_FREE char *path = temp_folder_write(folder, "rbee.conf", "limits { queue = 3 }", 0600);
    struct err err = ERR_INIT;
    struct config *config = config_load(path, &err);
    AUTO_FREE char *changed = NULL;
    struct config *again = NULL;

    assert_int_equal(config_override(config, CONFIG_supervisor_socket, "/flag", &err), 0);
    changed =
        temp_folder_write(folder, "rbee.conf",
                          "limits { queue = 4 } supervisor { socket = /file listen = off }", 0600);
    again = config_load_again(config, &err);
    assert_string_equal(config_text(again, CONFIG_supervisor_socket), "/flag");
    assert_int_equal(config_origin(again, CONFIG_supervisor_socket), CONFIG_FROM_FLAG);
    assert_true(config_is_same(config, again, CONFIG_supervisor_socket));
    assert_false(config_is_same(config, again, CONFIG_limits_queue));
    assert_false(config_is_same(config, again, CONFIG_supervisor_listen));
    config_adopt(config, again, CONFIG_limits_queue);
    config_adopt(config, again, CONFIG_supervisor_listen);
    config_free(again);
    assert_int_equal(config_number(config, CONFIG_limits_queue), 4);
    assert_string_equal(config_text(config, CONFIG_supervisor_listen), "off");
    assert_int_equal(config_origin(config, CONFIG_supervisor_listen), CONFIG_FROM_USER);
    assert_int_equal(unlink(path), 0);
    assert_null(config_load_again(config, &err));
    assert_int_equal(err.kind, ERR_NO_FILE);
    config_free(config);
}

static void workers_have_a_limit(void **state)
{
    AUTO_BUF struct buf file = BUF_INIT(1 << 16);
    struct err err = ERR_INIT;
    struct config *config = NULL;

    for (int i = 0; i < 256; i++)
        assert_int_equal(buf_printf(&file, "worker w%d { }\n", i), 0);
    config = load(file.data, &err);
    assert_non_null(config);
    assert_int_equal(config_worker_count(config), 256);
    config_free(config);
    assert_int_equal(buf_add_string(&file, "worker more { }\n"), 0);
    assert_null(load(file.data, &err));
    assert_non_null(strstr(err.message, ":257: more than 256 workers"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_hold_without_a_file),
        IN_FOLDER(a_file_is_read),
        IN_FOLDER(a_fault_is_named_with_its_line),
        IN_FOLDER(a_fault_of_a_command_is_named_with_its_line),
        IN_FOLDER(nothing_is_printed),
        IN_FOLDER(who_may_write_the_file_decides),
        IN_FOLDER(a_named_file_must_be_there_and_be_one),
        IN_FOLDER(without_a_name_the_users_file_is_found),
        IN_FOLDER(the_users_file_lies_over_the_systems_key_by_key),
        IN_FOLDER(a_flag_lies_over_the_file_and_is_checked_as_well),
        IN_FOLDER(values_print_as_they_stand_in_a_file),
        IN_FOLDER(every_default_prints_and_reads_back),
        cmocka_unit_test(the_table_of_keys_is_sound),
        cmocka_unit_test(names_are_plain),
        IN_FOLDER(a_model_is_a_name_or_an_absolute_path),
        cmocka_unit_test(an_address_is_numeric_or_off),
        IN_FOLDER(a_second_reading_keeps_the_flags),
        IN_FOLDER(workers_have_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
