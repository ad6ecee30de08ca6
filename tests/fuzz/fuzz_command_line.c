/* A worker's command of any bytes: refused with a reason, or words that stay what they are when
 * each is quoted and read again. */
#include "common/buf.h"
#include "common/command_line.h"
#include "common/mem.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* WORD as a shell takes it literally; false when that is longer than a command may be. */
static bool fuzz_add_quoted(struct buf *out, const char *word)
{
    int failed = buf_add_byte(out, '\'');

    for (; *word != '\0'; word++)
        failed |= *word == '\'' ? buf_add_string(out, "'\\''") : buf_add_byte(out, *word);
    failed |= buf_add_string(out, "' ");
    return failed == 0;
}

static void fuzz_read_again(const struct command_line *line)
{
    AUTO_BUF struct buf text = BUF_INIT(COMMAND_LINE_MAX_BYTES);
    struct command_line again;
    struct err err = ERR_INIT;

    for (size_t i = 0; i < line->word_count; i++) {
        if (!fuzz_add_quoted(&text, line->words[i]))
            return;
    }
    assert(command_line_parse(text.data, &again, &err) == 0);
    assert(again.word_count == line->word_count);
    assert(memcmp(again.has, line->has, sizeof(again.has)) == 0);
    for (size_t i = 0; i < line->word_count; i++)
        assert(strcmp(again.words[i], line->words[i]) == 0);
    command_line_release(&again);
}

static void fuzz_fill(const struct command_line *line)
{
    /* Longer than its place, and full of what would matter if it were read again. */
    const char *values[COMMAND_PLACE_COUNT];
    struct err err = ERR_INIT;
    AUTO_FREE char **argv = NULL;
    size_t count = 0;

    for (size_t i = 0; i < COMMAND_PLACE_COUNT; i++)
        values[i] = "{socket}{port} '\"\\ {model}{{}}";
    argv = command_line_fill(line, values, &err);
    if (argv == NULL) {
        assert(err.kind == ERR_CONFIG);
        return;
    }
    while (argv[count] != NULL)
        count++;
    assert(count == line->word_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    AUTO_FREE char *text = xstrndup((const char *)data, len);
    struct command_line line;
    struct err err = ERR_INIT;

    if (command_line_parse(text, &line, &err) != 0) {
        assert(err.kind == ERR_CONFIG && err.message[0] != '\0');
        return 0;
    }
    assert(line.word_count > 0 && line.word_count <= COMMAND_LINE_WORD_MAX_COUNT);
    assert(line.has[COMMAND_PLACE_PORT] != line.has[COMMAND_PLACE_SOCKET]);
    fuzz_read_again(&line);
    fuzz_fill(&line);
    command_line_release(&line);
    return 0;
}
