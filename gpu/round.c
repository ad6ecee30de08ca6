/* Owns the order of a round and its lines. Knows no driver. */
#include "gpu/round.h"

#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "gpu/uses.h"

#include <string.h>

static const char PROCESSES[] = "processes";
static const char WALK[] = "walk";

struct round {
    struct card_world *world;
    const char *command;
    int fd;
    struct card_list cards;
    bool is_awake[CARD_MAX_COUNT]; /* and has been read */
    bool wants_walk[CARD_MAX_COUNT];
    struct card_uses uses[CARD_MAX_COUNT];
};

/* ---- lines ---- */

/* Takes LINE over. */
static int round_say(const struct round *round, json_t *line, struct err *err)
{
    AUTO_JSON json_t *owned = line;
    AUTO_FREE char *text = json_to_text(owned);
    AUTO_FREE char *whole = xasprintf("%s\n", text);

    return io_write_all(round->fd, whole, strlen(whole), err);
}

static int round_say_step(const struct round *round, const char *step, const char *vendor,
                          struct err *err)
{
    return round_say(round, json_pack("{s:s, s:s?}", "step", step, "vendor", vendor), err);
}

static int round_say_gpu(const struct round *round, const struct card *card, const char *state,
                         const struct card_reading *reading, struct err *err)
{
    json_t *line = json_pack("{s:s, s:s, s:s}", "gpu", card->pci, "vendor", card->vendor->name,
                             "state", state);

    (void)json_object_set_new(line, "name", json_text_or_null(reading->name));
    (void)json_object_set_new(line, "uuid", json_text_or_null(reading->uuid));
    (void)json_object_set_new(line, "pcie_link", json_text_or_null(reading->pcie_link));
    gpu_figures_to_json(&reading->figures, line);
    return round_say(round, line, err);
}

static json_t *use_to_json(const struct round *round, const struct card_use *use)
{
    char command[USES_COMMAND_BYTES];
    json_t *object = json_object();

    uses_command_of(round->world->root, use->pid, command);
    (void)json_object_set_new(object, "pid", json_integer(use->pid));
    (void)json_object_set_new(object, "group",
                              json_integer(uses_group_of(round->world->root, use->pid)));
    (void)json_object_set_new(object, "command", json_text_or_null(command));
    (void)json_object_set_new(object, "memory_bytes",
                              use->memory_bytes < 0 ? json_null()
                                                    : json_integer(use->memory_bytes));
    return object;
}

static int round_say_uses(const struct round *round, size_t index, struct err *err)
{
    const struct card_uses *uses = &round->uses[index];
    json_t *list = NULL;

    if (!uses->is_known)
        return 0;
    list = json_array();
    for (size_t i = 0; i < uses->count; i++)
        (void)json_array_append_new(list, use_to_json(round, &uses->list[i]));
    return round_say(
        round, json_pack("{s:s, s:o}", "uses", round->cards.cards[index].pci, PROCESSES, list),
        err);
}

/* ---- steps ---- */

/* Whether WORD is one of the command's: a step that hung, or "walk". */
static bool round_is_told(const struct round *round, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = round->command; (at = strstr(at, word)) != NULL; at += len) {
        bool begins = at == round->command || at[-1] == ' ';

        if (begins && (at[len] == '\0' || at[len] == ' '))
            return true;
    }
    return false;
}

static int round_read_card(struct round *round, size_t index, struct err *err)
{
    const struct card *card = &round->cards.cards[index];
    struct card_reading *reading = NULL;
    AUTO_FREE void *owned = NULL;
    bool knows_any = false;

    if (round_is_told(round, card->pci))
        return 0;
    if (round_say_step(round, card->pci, card->vendor->name, err) != 0)
        return -1;
    owned = xcalloc(1, sizeof(*reading));
    reading = owned;
    gpu_figures_init(&reading->figures);
    if (card_is_asleep(card))
        return round_say_gpu(round, card, "asleep", reading, err);
    card->vendor->read(round->world, card, reading);
    card_read_link(card, reading->pcie_link);
    knows_any = gpu_figures_knows_any(&reading->figures);
    round->is_awake[index] = true;
    round->uses[index] = reading->uses;
    round->wants_walk[index] = !reading->uses.is_known;
    return round_say_gpu(round, card, knows_any ? "active" : "unreadable", reading, err);
}

static int round_read_cards(struct round *round, struct err *err)
{
    for (size_t i = 0; i < round->cards.count; i++) {
        if (round_read_card(round, i, err) != 0)
            return -1;
    }
    return 0;
}

/* Only when there is a card whose driver does not tell by itself, and is awake. */
static int round_walk(struct round *round, struct err *err)
{
    bool is_wanted = false;

    for (size_t i = 0; i < round->cards.count; i++)
        is_wanted = is_wanted || round->wants_walk[i];
    if (!is_wanted || round_is_told(round, PROCESSES))
        return 0;
    if (round_say_step(round, PROCESSES, NULL, err) != 0)
        return -1;
    if (round_is_told(round, WALK))
        uses_find(round->world->root, round->world->users);
    uses_read(round->world->root, round->world->users, &round->cards, round->wants_walk,
              round->uses);
    return 0;
}

static int round_say_all_uses(const struct round *round, struct err *err)
{
    for (size_t i = 0; i < round->cards.count; i++) {
        if (round->is_awake[i] && round_say_uses(round, i, err) != 0)
            return -1;
    }
    return 0;
}

static void round_rest(const struct round *round)
{
    for (size_t i = 0; i < round->cards.count; i++) {
        const struct card *card = &round->cards.cards[i];

        if (card->vendor->rest != NULL && round->is_awake[i] && card_is_sleepy(card))
            card->vendor->rest(round->world);
    }
}

int round_run(struct card_world *world, const char *command, int fd, struct err *err)
{
    AUTO_FREE struct round *round = xcalloc(1, sizeof(*round));

    round->world = world;
    round->command = command;
    round->fd = fd;
    card_list(world->root, &round->cards);
    if (round_read_cards(round, err) != 0 || round_walk(round, err) != 0 ||
        round_say_all_uses(round, err) != 0)
        return -1;
    round_rest(round);
    return round_say(round, json_pack("{s:b}", "done", 1), err);
}
