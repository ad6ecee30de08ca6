/* For tests of the engine on the model of fake_model.h: the test is the loop. Each engine is fresh,
 * and what a request tells is kept as one line. */
#ifndef RBEE_TESTS_UNIT_ENGINE_RIG_H
#define RBEE_TESTS_UNIT_ENGINE_RIG_H

#include "common/json.h"
#include "hip/engine/engine.h"
#include "tests/unit/fake_model.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000 };

static inline struct engine *start_engine(uint32_t slot_count, uint32_t context_tokens)
{
    struct engine_options options = {.model_path = "none",
                                     .device = "cpu",
                                     .slot_count = slot_count,
                                     .context_tokens = context_tokens};
    struct err err = ERR_INIT;
    struct engine *engine = engine_new(&options, &err);

    assert_non_null(engine);
    return engine;
}

static inline void wait_for_engine(struct engine *engine)
{
    struct pollfd fd = {.fd = engine_event_fd(engine), .events = POLLIN};

    assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
    engine_clear_event_fd(engine);
}

static inline enum engine_phase wait_until_loaded(struct engine *engine)
{
    struct engine_status status;

    engine_read_status(engine, &status);
    while (status.phase == ENGINE_LOAD || status.phase == ENGINE_WARM_UP) {
        wait_for_engine(engine);
        engine_read_status(engine, &status);
    }
    return status.phase;
}

static inline struct engine *ready_engine_of(uint32_t slot_count, uint32_t context_tokens)
{
    struct engine *engine = NULL;

    fake_model_reset();
    engine = start_engine(slot_count, context_tokens);
    assert_int_equal(wait_until_loaded(engine), ENGINE_READY);
    return engine;
}

/* One request at a time, so that it is known which step computes what. */
static inline struct engine *ready_engine(void)
{
    return ready_engine_of(1, 0);
}

static inline struct engine_request *submit(struct engine *engine, const char *prompt,
                                            int max_tokens)
{
    AUTO_JSON json_t *body = json_pack("{s:s, s:i, s:i, s:b}", "prompt", prompt, "max_tokens",
                                       max_tokens, "temperature", 0, "raw", 1);
    AUTO_JSON json_t *unknown = json_array();
    struct inference_request asked;
    struct err err = ERR_INIT;

    assert_int_equal(inference_parse(body, &asked, unknown, &err), 0);
    return engine_submit(engine, &asked, take_ptr(body), NULL, NULL);
}

static inline struct engine_request *submit_with_stop(struct engine *engine, const char *prompt,
                                                      const char *stop)
{
    AUTO_JSON json_t *body = json_pack("{s:s, s:s, s:i, s:b}", "prompt", prompt, "stop", stop,
                                       "temperature", 0, "raw", 1);
    AUTO_JSON json_t *unknown = json_array();
    struct inference_request asked;
    struct err err = ERR_INIT;

    assert_int_equal(inference_parse(body, &asked, unknown, &err), 0);
    return engine_submit(engine, &asked, take_ptr(body), NULL, NULL);
}

/* What a request told, as one line: "queued1 started b c end" */
struct story {
    char text[4096];
    size_t len;
    unsigned text_count;
    bool is_over;
};

static inline void story_add(struct story *story, const struct engine_event *event)
{
    static const char *const NAMES[] = {"queued", "started", "", "end", "error"};
    size_t room = sizeof(story->text) - story->len;

    assert_false(story->is_over); /* a terminal event is the last */
    if (event->kind == ENGINE_EVENT_TEXT) {
        story->text_count++;
        story->len += (size_t)snprintf(story->text + story->len, room, "%.*s ",
                                       (int)event->text_len, event->text);
    } else {
        story->len += (size_t)snprintf(story->text + story->len, room, "%s ", NAMES[event->kind]);
    }
    assert_true(story->len < sizeof(story->text));
    story->is_over = event->kind == ENGINE_EVENT_END || event->kind == ENGINE_EVENT_ERROR;
}

static inline void take_all(struct engine_request *request, struct story *story)
{
    struct engine_event *event = NULL;

    while ((event = engine_request_take(request)) != NULL) {
        story_add(story, event);
        free(event);
    }
}

/* Takes events until the terminal one. */
static inline void read_to_end(struct engine *engine, struct engine_request *request,
                               struct story *story)
{
    take_all(request, story);
    while (!story->is_over) {
        wait_for_engine(engine);
        take_all(request, story);
    }
}

static inline char *text_of_len(size_t len)
{
    char *text = malloc(len + 1);

    assert_non_null(text);
    memset(text, 'a', len);
    text[len] = '\0';
    return text;
}

#endif
