/* Owns what is taken out of texts before they leave the machine. Must not know which texts. */
#include "cli/scrub.h"

#include "common/json.h"
#include "common/mem.h"

#include <stdbool.h>
#include <string.h>

enum {
    SCRUB_LEAST_BYTES = 6,         /* of a text to be hidden */
    SCRUB_SECRET_LEAST_BYTES = 12, /* of what looks like a secret, behind its beginning */
};

#define HIDDEN "(secret)"
#define LEFT_OUT "(left out)"
#define FATAL_WORDS "fatal class="

struct scrub_rule {
    char *text;
    const char *instead;
};

/* Beginnings after which a run of such bytes is a secret, whoever's it is. */
static const struct {
    const char *begin;
    const char *instead;
    size_t least;
} PATTERNS[] = {
    {"hf_", "hf_" HIDDEN, SCRUB_SECRET_LEAST_BYTES},
    {"sk-", "sk-" HIDDEN, SCRUB_SECRET_LEAST_BYTES},
    {"Bearer ", "Bearer " HIDDEN, 1},
    {"/home/", "/home/(user)", 1},
};

static const char SECRET_BYTES[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                   "-_.~+=";

/* Takes TEXT over. */
static void add_rule(struct scrub *scrub, char *text, const char *instead)
{
    scrub->rules = xgrow(scrub->rules, scrub->count, sizeof(scrub->rules[0]));
    scrub->rules[scrub->count++] = (struct scrub_rule){.text = text, .instead = instead};
}

void scrub_hide(struct scrub *scrub, const char *text, const char *instead)
{
    AUTO_JSON json_t *string = NULL;
    char *quoted = NULL;
    size_t len = 0;

    if (text == NULL || strlen(text) < SCRUB_LEAST_BYTES)
        return;
    add_rule(scrub, xstrdup(text), instead);
    /* As it stands in JSON and in a quoted value of the log, where that is another text. */
    string = json_text_lossy(text, strlen(text));
    quoted = json_dumps(string, JSON_ENCODE_ANY);
    if (quoted == NULL)
        return;
    len = strlen(quoted) - 2;
    memmove(quoted, quoted + 1, len); /* without its quotes */
    quoted[len] = '\0';
    add_rule(scrub, quoted, instead);
}

void scrub_init(struct scrub *scrub)
{
    static const char *const SECRETS[] = {"RBEE_API_TOKEN", "LLORCH_API_TOKEN", "HF_TOKEN",
                                          "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY"};

    *scrub = (struct scrub){0};
    for (size_t i = 0; i < ARRAY_COUNT(SECRETS); i++)
        scrub_hide(scrub, getenv(SECRETS[i]), HIDDEN);
    scrub_hide(scrub, getenv("HOME"), "~");
}

void scrub_release(struct scrub *scrub)
{
    for (size_t i = 0; i < scrub->count; i++) {
        explicit_bzero(scrub->rules[i].text, strlen(scrub->rules[i].text));
        free(scrub->rules[i].text);
    }
    free(scrub->rules);
    *scrub = (struct scrub){0};
}

/* How many bytes at AT are to go; 0: none. */
static size_t find(const struct scrub *scrub, const char *at, size_t len, const char **out_instead)
{
    for (size_t i = 0; i < scrub->count; i++) {
        size_t rule_len = strlen(scrub->rules[i].text);

        if (rule_len <= len && memcmp(at, scrub->rules[i].text, rule_len) == 0) {
            *out_instead = scrub->rules[i].instead;
            return rule_len;
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(PATTERNS); i++) {
        size_t begin_len = strlen(PATTERNS[i].begin);
        size_t run = 0;

        if (begin_len > len || memcmp(at, PATTERNS[i].begin, begin_len) != 0)
            continue;
        while (begin_len + run < len && at[begin_len + run] != '\0' &&
               strchr(SECRET_BYTES, at[begin_len + run]) != NULL)
            run++;
        if (run >= PATTERNS[i].least) {
            *out_instead = PATTERNS[i].instead;
            return begin_len + run;
        }
    }
    return 0;
}

/* "://USER:PASSWORD@": how many bytes at AT are between the slashes and the @; 0: none. */
static size_t find_login(const char *at, size_t len)
{
    const char *end = memchr(at, '@', len);
    size_t login_len = end != NULL ? (size_t)(end - at) : 0;

    for (size_t i = 0; i < login_len; i++) {
        if (strchr("/ \"\n", at[i]) != NULL)
            return 0;
    }
    return login_len;
}

int scrub_text(const struct scrub *scrub, const char *text, size_t len, struct buf *out)
{
    static const char ADDRESS[] = "://";
    size_t at = 0;

    while (at < len) {
        const char *instead = NULL;
        size_t gone = find(scrub, text + at, len - at, &instead);

        if (gone == 0 && at >= strlen(ADDRESS) &&
            memcmp(text + at - strlen(ADDRESS), ADDRESS, strlen(ADDRESS)) == 0) {
            gone = find_login(text + at, len - at);
            instead = HIDDEN;
        }
        if (gone > 0 ? buf_add_string(out, instead) < 0 : buf_add_byte(out, text[at]) < 0)
            return -1;
        at += gone > 0 ? gone : 1;
    }
    return 0;
}

/* ---- what workers have said ---- */

/* Fields that are a worker's words, and those that may end in some. */
static const char *const WORDS[] = {"stderr", "last_stderr", "last_words", "message"};
static const char *const ENDS_IN_WORDS[] = {"cause", "summary", "problem", "reasons", "warnings"};

static bool is_one_of(const char *name, size_t len, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return true;
    }
    return false;
}

/* Where in "worker a died: exit code 1: WORDS" what may be quoted begins; LEN when it has no colon.
 */
static size_t words_begin(const char *text, size_t len)
{
    const char *colon = memmem(text, len, ": ", 2);

    return colon != NULL ? (size_t)(colon - text) : len;
}

static json_t *without_words(json_t *text)
{
    bool is_ours = strncmp(json_string_value(text), FATAL_WORDS, strlen(FATAL_WORDS)) == 0;

    return is_ours || json_string_length(text) == 0 ? json_incref(text) : json_string(LEFT_OUT);
}

static json_t *without_end(json_t *text)
{
    size_t len = json_string_length(text);
    size_t kept = words_begin(json_string_value(text), len);

    return kept == len ? json_incref(text)
                       : json_sprintf("%.*s: " LEFT_OUT, (int)kept, json_string_value(text));
}

/* VALUE with CLEAN done to each of its texts; what is no text and no list of them is left out. */
static json_t *clean_texts(json_t *value, json_t *(*clean)(json_t *text))
{
    json_t *items = NULL;
    json_t *item = NULL;
    size_t index = 0;

    if (json_is_string(value))
        return clean(value);
    if (!json_is_array(value))
        return json_is_object(value) ? json_string(LEFT_OUT) : json_incref(value);
    items = json_array();
    json_array_foreach(value, index, item)
    {
        (void)json_array_append_new(items, clean_texts(item, clean));
    }
    return items;
}

void scrub_quotes(json_t *value)
{
    const char *name = NULL;
    json_t *member = NULL;
    void *next = NULL;
    size_t index = 0;

    json_array_foreach(value, index, member)
    {
        scrub_quotes(member);
    }
    if (!json_is_object(value))
        return;
    json_object_foreach_safe(value, next, name, member)
    {
        if (is_one_of(name, strlen(name), WORDS, ARRAY_COUNT(WORDS)))
            (void)json_object_set_new(value, name, clean_texts(member, without_words));
        else if (is_one_of(name, strlen(name), ENDS_IN_WORDS, ARRAY_COUNT(ENDS_IN_WORDS)))
            (void)json_object_set_new(value, name, clean_texts(member, without_end));
        else
            scrub_quotes(member);
    }
}

/* The length of the value at AT: in quotes with backslashes, or up to a blank. */
static size_t value_len(const char *at, size_t len)
{
    size_t end = 1;

    if (len == 0 || at[0] != '"') {
        const char *blank = memchr(at, ' ', len);

        return blank != NULL ? (size_t)(blank - at) : len;
    }
    while (end < len && at[end] != '"')
        end += at[end] == '\\' && end + 1 < len ? 2 : 1;
    return end < len ? end + 1 : len;
}

/* One word of a line, and what of it is appended; returns its length. */
static size_t scrub_word(const char *at, size_t len, struct buf *out)
{
    size_t word_len = value_len(at, len);
    const char *equals = memchr(at, '=', word_len);
    size_t name_len = equals != NULL ? (size_t)(equals - at) : 0;
    size_t kept = 0;

    if (equals == NULL || at[0] == '"') {
        (void)buf_add(out, at, word_len); /* OUT has room for the whole line, and more */
        return word_len;
    }
    word_len = name_len + 1 + value_len(equals + 1, len - name_len - 1);
    (void)buf_add(out, at, name_len + 1);
    kept = word_len - name_len - 1;
    if (is_one_of(at, name_len, WORDS, ARRAY_COUNT(WORDS)))
        kept = 0;
    else if (is_one_of(at, name_len, ENDS_IN_WORDS, ARRAY_COUNT(ENDS_IN_WORDS)))
        kept = words_begin(equals + 1, kept);
    (void)buf_add(out, equals + 1, kept);
    if (kept < word_len - name_len - 1)
        (void)buf_add_string(out, kept > 0 && equals[1] == '"' ? LEFT_OUT "\"" : LEFT_OUT);
    return word_len;
}

void scrub_log_line(const char *line, size_t len, struct buf *out)
{
    size_t at = 0;

    while (at < len) {
        at += scrub_word(line + at, len - at, out);
        for (; at < len && line[at] == ' '; at++)
            (void)buf_add_byte(out, ' ');
    }
    (void)buf_add_byte(out, '\n');
}
