/* Owns the table of options. Must not know how a command line is read. */
#include "cli/option.h"

#include <assert.h>

#define ON(command) (1ull << COMMAND_##command)
#define ON_ALL UINT64_MAX
/* Those that send prompts. */
#define ON_ASKING (ON(INFER) | ON(CHAT) | ON(BATCH))
static_assert(COMMAND_COUNT <= 64, "an option's commands are the bits of a uint64_t");

static const struct option OPTIONS[OPTION_COUNT] = {
#define OPTION(id, long_name_, letter_, argument_, type_, min_, max_, default_, commands_,         \
               summary_)                                                                           \
    [OPTION_##id] = {.long_name = long_name_,                                                      \
                     .letter = letter_,                                                            \
                     .argument = argument_,                                                        \
                     .type = OPTION_##type_,                                                       \
                     .min = min_,                                                                  \
                     .max = max_,                                                                  \
                     .default_text = default_,                                                     \
                     .commands = commands_,                                                        \
                     .summary = summary_},
#include "cli/options.def"
#undef OPTION
};

const struct option *option_get(enum option_id id)
{
    assert(id < OPTION_COUNT);
    return &OPTIONS[id];
}

bool option_is_global(const struct option *option)
{
    return option->commands == ON_ALL;
}

bool option_belongs_to(const struct option *option, const struct command *command)
{
    return (option->commands & 1ull << command->id) != 0;
}
