/* Owns the table of options and what they mean together. Opens nothing. */
#include "hip/options.h"

#include "common/units.h"
#include "hip/backend/backend.h"
#include "hip/engine/engine.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum option_group {
    GROUP_COMMON,
    GROUP_PROMPT,
    GROUP_DESCRIBE,
    GROUP_BENCH,
    GROUP_SERVE,
    GROUP_ANY,
    GROUP_COUNT,
};

enum {
    /* Values of getopt_long; above every letter. */
    LONG_BASE = 256,
    CONTEXT_MAX_TOKENS = 1 << 20, /* as config_keys.def */
    FD_MAX = 1 << 20,             /* the kernel's own limit on descriptors (fs.nr_open) */
};

static const struct {
    const char *name;
    char letter;
    const char *argument;
    enum option_group group;
    const char *summary;
} OPTIONS[WORKER_OPTION_COUNT] = {
#define OPTION(id, long_name, short_letter, value, where, text)                                    \
    [WORKER_OPTION_##id] = {.name = long_name,                                                     \
                            .letter = short_letter,                                                \
                            .argument = value,                                                     \
                            .group = GROUP_##where,                                                \
                            .summary = text},
#include "hip/worker_options.def"
#undef OPTION
};

/* ---- help ---- */

static void print_group(enum option_group group, const char *title)
{
    printf("\n%s\n", title);
    for (size_t i = 0; i < WORKER_OPTION_COUNT; i++) {
        const char *argument = OPTIONS[i].argument;
        char left[48];

        if (OPTIONS[i].group != group)
            continue;
        (void)snprintf(left, sizeof(left), "%c%c%s --%s %s", OPTIONS[i].letter ? '-' : ' ',
                       OPTIONS[i].letter ? OPTIONS[i].letter : ' ', OPTIONS[i].letter ? "," : " ",
                       OPTIONS[i].name, argument != NULL ? argument : "");
        printf("  %-26s %s\n", left, OPTIONS[i].summary);
    }
}

void worker_options_print_help(void)
{
    printf("usage: rbee-worker --model FILE --prompt TEXT [options]\n"
           "       rbee-worker --describe FILE\n"
           "       rbee-worker --devices\n"
           "       rbee-worker --bench FILE [options]\n"
           "       rbee-worker --model FILE --listen ADDRESS [options]\n"
           "One process that runs one model. A supervisor (rbeed) starts it with --listen-fd and\n"
           "--token-fd; the rest is for work by hand.\n");
    print_group(GROUP_COMMON, "Model:");
    print_group(GROUP_PROMPT, "One answer:");
    print_group(GROUP_DESCRIBE, "One look:");
    print_group(GROUP_BENCH, "Speed:");
    print_group(GROUP_SERVE, "Serving:");
    print_group(GROUP_ANY, "Any time:");
    printf("\nexit: 0 done");
#define FAULT(id, code, class) printf(", %d %s", code, class);
#include "hip/faults.def"
#undef FAULT
    printf("\n--prompt also ends with the codes of `rbee infer` when the request itself fails,\n"
           "--bench always with those of `rbee bench`.\n");
}

/* ---- parsing ---- */

static void options_build(struct option longs[WORKER_OPTION_COUNT + 1],
                          char letters[2 * WORKER_OPTION_COUNT + 2])
{
    /* ':' first: a missing argument is told apart from an unknown option. */
    size_t len = 0;

    letters[len++] = ':';
    for (int i = 0; i < WORKER_OPTION_COUNT; i++) {
        bool has_argument = OPTIONS[i].argument != NULL;

        longs[i] = (struct option){.name = OPTIONS[i].name,
                                   .has_arg = has_argument ? required_argument : no_argument,
                                   .val = LONG_BASE + i};
        if (OPTIONS[i].letter == '\0')
            continue;
        letters[len++] = OPTIONS[i].letter;
        if (has_argument)
            letters[len++] = ':';
    }
    letters[len] = '\0';
    longs[WORKER_OPTION_COUNT] = (struct option){0};
}

static enum worker_option option_of(int value)
{
    if (value >= LONG_BASE)
        return (enum worker_option)(value - LONG_BASE);
    for (int i = 0; i < WORKER_OPTION_COUNT; i++) {
        if (OPTIONS[i].letter == value)
            return (enum worker_option)i;
    }
    assert(!"getopt returns only letters of the table");
    return WORKER_OPTION_COUNT;
}

static int option_take(struct worker_options *options, enum worker_option option, struct err *err)
{
    const char *value = optarg != NULL ? optarg : "";

    if (option == WORKER_OPTION_STOP) {
        if (options->stop_count == INFERENCE_STOP_MAX_COUNT)
            return err_set(err, ERR_USAGE, "--stop can be given %d times",
                           INFERENCE_STOP_MAX_COUNT);
        options->stop[options->stop_count++] = value;
        return 0;
    }
    if (options->text[option] != NULL)
        return err_set(err, ERR_USAGE, "--%s is given twice", OPTIONS[option].name);
    options->text[option] = value;
    return 0;
}

static int options_scan(struct worker_options *options, int argc, char **argv, struct err *err)
{
    struct option longs[WORKER_OPTION_COUNT + 1];
    char letters[2 * WORKER_OPTION_COUNT + 2];
    int value = 0;

    options_build(longs, letters);
    opterr = 0; /* messages are ours */
    while ((value = getopt_long(argc, argv, letters, longs, NULL)) >= 0) {
        if (value == ':')
            return err_set(err, ERR_USAGE, "%s wants an argument", argv[optind - 1]);
        if (value == '?')
            return err_set(err, ERR_USAGE, "unknown option %s; see --help", argv[optind - 1]);
        if (option_take(options, option_of(value), err) < 0)
            return -1;
    }
    if (optind < argc)
        return err_set(err, ERR_USAGE, "unexpected argument \"%s\"; see --help", argv[optind]);
    return 0;
}

/* ---- meaning ---- */

static bool has(const struct worker_options *options, enum worker_option option)
{
    return options->text[option] != NULL;
}

/* Leaves *OUT alone when the option was not given. */
static int read_integer(const struct worker_options *options, enum worker_option option,
                        int64_t min, int64_t max, int64_t *out, struct err *err)
{
    if (!has(options, option) ||
        units_parse_integer(options->text[option], min, max, out, err) == 0)
        return 0;
    return err_wrap(err, "--%s", OPTIONS[option].name);
}

static int options_choose_mode(struct worker_options *options, struct err *err)
{
    static const struct {
        enum worker_option option;
        enum worker_mode mode;
        bool needs_model;
    } MODES[] = {
        {WORKER_OPTION_DESCRIBE, WORKER_DESCRIBE, false},
        {WORKER_OPTION_DEVICES, WORKER_DEVICES, false},
        {WORKER_OPTION_PROMPT, WORKER_PROMPT, true},
        {WORKER_OPTION_BENCH, WORKER_BENCH, false},
        {WORKER_OPTION_LISTEN, WORKER_SERVE_BY_HAND, true},
        {WORKER_OPTION_LISTEN_FD, WORKER_SERVE_SUPERVISED, true},
    };
    bool needs_model = false;
    unsigned count = 0;

    for (size_t i = 0; i < ARRAY_COUNT(MODES); i++) {
        if (!has(options, MODES[i].option))
            continue;
        options->mode = MODES[i].mode;
        needs_model = MODES[i].needs_model;
        count++;
    }
    if (count != 1)
        return err_set(err, ERR_USAGE,
                       "exactly one of --prompt, --describe, --devices, --bench, --listen and "
                       "--listen-fd is needed; see --help");
    if (needs_model && !has(options, WORKER_OPTION_MODEL))
        return err_set(err, ERR_USAGE, "--model is needed");
    if (options->mode == WORKER_SERVE_SUPERVISED && !has(options, WORKER_OPTION_TOKEN_FD))
        return err_set(err, ERR_USAGE, "--listen-fd needs --token-fd");
    /* A token that is not looked at would leave the door open. */
    if (options->mode != WORKER_SERVE_SUPERVISED && has(options, WORKER_OPTION_TOKEN_FD))
        return err_set(err, ERR_USAGE, "--token-fd goes with --listen-fd only");
    if (options->mode != WORKER_SERVE_BY_HAND && has(options, WORKER_OPTION_TOKEN_FILE))
        return err_set(err, ERR_USAGE, "--token-file goes with --listen only");
    return 0;
}

static int options_read_numbers(struct worker_options *options, struct err *err)
{
    int64_t context = 0;
    int64_t threads = 0;
    int64_t slots = 0;
    int64_t listen_fd = -1;
    int64_t token_fd = -1;

    if (read_integer(options, WORKER_OPTION_CONTEXT, 0, CONTEXT_MAX_TOKENS, &context, err) < 0 ||
        read_integer(options, WORKER_OPTION_THREADS, 0, BACKEND_THREADS_MAX_COUNT, &threads, err) <
            0 ||
        read_integer(options, WORKER_OPTION_SLOTS, 1, ENGINE_SLOTS_MAX_COUNT, &slots, err) < 0 ||
        read_integer(options, WORKER_OPTION_LISTEN_FD, 0, FD_MAX, &listen_fd, err) < 0 ||
        read_integer(options, WORKER_OPTION_TOKEN_FD, 0, FD_MAX, &token_fd, err) < 0)
        return -1;
    options->context_tokens = (uint32_t)context;
    options->thread_count = (uint32_t)threads;
    options->slot_count = (uint32_t)slots;
    options->listen_fd = (int)listen_fd;
    options->token_fd = (int)token_fd;
    return 0;
}

static int options_read_kv_type(struct worker_options *options, struct err *err)
{
    const char *name = options->text[WORKER_OPTION_KV_TYPE];

    if (name == NULL || kv_type_parse(name, ERR_USAGE, &options->kv_type, err) == 0)
        return 0;
    return err_wrap(err, "--%s", OPTIONS[WORKER_OPTION_KV_TYPE].name);
}

int worker_options_parse(struct worker_options *options, int argc, char **argv, struct err *err)
{
    *options = (struct worker_options){.listen_fd = -1, .token_fd = -1};
    if (options_scan(options, argc, argv, err) < 0)
        return -1;
    if (has(options, WORKER_OPTION_HELP)) {
        options->mode = WORKER_HELP;
        return 0;
    }
    if (has(options, WORKER_OPTION_VERSION)) {
        options->mode = WORKER_VERSION;
        return 0;
    }
    if (options_choose_mode(options, err) < 0)
        return -1;
    return options_read_numbers(options, err) != 0 ? -1 : options_read_kv_type(options, err);
}
