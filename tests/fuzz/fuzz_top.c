/* The dashboard: whatever a supervisor says and a person presses, each cell of each frame holds
 * something that may reach a terminal. Input: a line of keys, then JSON (tests/top_fixture.h). */
#include "common/utf8.h"
#include "tests/top_fixture.h"

#include <assert.h>
#include <locale.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
    KEYS_MAX_COUNT = 64,
    SPECIAL_KEYS = 0x80, /* bytes from here on are keys that are no characters */
};

static const struct {
    int rows;
    int columns;
} SIZES[] = {{24, 80}, {3, 7}, {60, 200}, {1, 1}};

static void check_frame(struct top *top, size_t size, bool is_ascii)
{
    struct canvas canvas;

    canvas_init(&canvas, SIZES[size].rows, SIZES[size].columns, is_ascii);
    top_draw(top, &canvas);
    for (int i = 0; i < canvas.rows * canvas.columns; i++)
        assert(canvas.cells[i].codepoint == 0 || utf8_is_printable(canvas.cells[i].codepoint));
    canvas_release(&canvas);
}

static void press(struct top *top, uint8_t byte, size_t index)
{
    struct tui_event event = {.key = byte, .row = (int)index % 30, .column = byte % 90};

    if (byte >= SPECIAL_KEYS)
        event.key = TUI_KEY_UP + byte % (TUI_KEY_WHEEL_DOWN - TUI_KEY_UP + 1);
    top_on_event(top, &event);
}

static void run(const uint8_t *keys, size_t key_count, const json_t *heard)
{
    struct top top;
    struct top_order order;

    top_init(&top, HEARD_LOOK_MS, key_count % 7 == 6);
    heard_take_all(&top, heard);
    for (size_t i = 0; i < key_count; i++) {
        check_frame(&top, i % ARRAY_COUNT(SIZES), i % 5 == 4);
        press(&top, keys[i], i);
        heard_take_wanted(&top, heard);
        while (top_next_order(&top, &order))
            assert(strncmp(order.target, "/v1/", 4) == 0);
    }
    for (size_t i = 0; i < ARRAY_COUNT(SIZES); i++)
        check_frame(&top, i, false);
    top_release(&top);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *end = memchr(data, '\n', len);
    struct err err = ERR_INIT;
    AUTO_JSON json_t *heard = NULL;
    size_t key_count = 0;

    if (end == NULL)
        return 0;
    key_count = (size_t)(end - data);
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* without it every wide character is '?' */
    heard = json_parse((const char *)end + 1, len - key_count - 1, len, &err);
    if (heard != NULL)
        run(data, key_count < KEYS_MAX_COUNT ? key_count : KEYS_MAX_COUNT, heard);
    return 0;
}
