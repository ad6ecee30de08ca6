/* Owns the stream from tokens to text that may be shown: detok.c, then stop.c. Must not know who
 * reads it. */
#include "hip/text/output.h"

#include "common/mem.h"
#include "hip/text/detok.h"
#include "hip/text/stop.h"

#include <stdlib.h>

/* Held back is less than a stop string (INFERENCE_STOP_MAX_BYTES) and one token's text; the rest is
 * reserve. */
enum { TEXT_OUTPUT_HELD_MAX_BYTES = 64 * 1024 };

struct text_output {
    const struct vocab *vocab;
    struct stop_set stops;
    struct detok detok;
    bool drops_space; /* the next bytes are the first ones of a text */
    bool is_stopped;
    struct buf held; /* whole characters that might begin a stop string */
    uint64_t shown_bytes;
    uint64_t last_begin; /* of the last token's text */
};

struct text_output *text_output_new(const struct vocab *vocab, const char *const *stops,
                                    size_t stop_count)
{
    struct text_output *output = xcalloc(1, sizeof(*output));

    output->vocab = vocab;
    stop_set_init(&output->stops, stops, stop_count);
    buf_init(&output->held, TEXT_OUTPUT_HELD_MAX_BYTES);
    return output;
}

void text_output_free(struct text_output *output)
{
    if (output == NULL)
        return;
    stop_set_release(&output->stops);
    buf_release(&output->held);
    free(output);
}

void text_output_begin_text(struct text_output *output)
{
    output->drops_space = vocab_adds_space(output->vocab);
}

static int out_of_room(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "no room for the text of a token");
}

/* Shows the first LEN of the held bytes. */
static int show(struct text_output *output, size_t len, struct buf *out, struct err *err)
{
    if (buf_add(out, output->held.data, len) != 0)
        return out_of_room(err);
    buf_consume(&output->held, len);
    output->shown_bytes += len;
    return 0;
}

/* Characters have come behind the first SEARCHED_LEN held bytes. */
static int release(struct text_output *output, size_t searched_len, struct buf *out,
                   bool *out_stopped, struct err *err)
{
    struct buf *held = &output->held;
    size_t stop_at = 0;

    if (stop_find(&output->stops, held->data, held->len, searched_len, &stop_at)) {
        if (show(output, stop_at, out, err) != 0)
            return -1;
        buf_clear(held);
        output->is_stopped = true;
        *out_stopped = true;
        return 0;
    }
    *out_stopped = false;
    return show(output, held->len - stop_held_len(&output->stops, held->data, held->len), out, err);
}

int text_output_push(struct text_output *output, uint32_t token, struct buf *out, bool *out_stopped,
                     struct err *err)
{
    size_t searched_len = output->held.len;
    size_t piece_len = 0;
    const char *piece = vocab_piece(output->vocab, token, false, &piece_len);

    if (output->drops_space && piece_len > 0) {
        output->drops_space = false;
        piece_len -= *piece == ' ';
        piece += *piece == ' ';
    }
    output->last_begin = output->shown_bytes + output->held.len;
    if (detok_push(&output->detok, piece, piece_len, &output->held) != 0)
        return out_of_room(err);
    if (output->detok.has_broken)
        output->last_begin += DETOK_REPLACEMENT_BYTES;
    return release(output, searched_len, out, out_stopped, err);
}

int text_output_flush(struct text_output *output, struct buf *out, struct err *err)
{
    if (detok_flush(&output->detok, &output->held) != 0)
        return out_of_room(err);
    return show(output, output->held.len, out, err);
}

struct text_extent text_output_extent(const struct text_output *output)
{
    return (struct text_extent){
        .begin = output->last_begin,
        .end = output->shown_bytes + output->held.len,
        .is_whole = !output->is_stopped && output->detok.pending_len == 0,
    };
}
