/* The table of GPUs and their past, out of the lines of rbee-gpu: whatever they are, what is not
 * known is unknown, and no line makes the table another one than it may be. */
#include "supervisor/gpu/ability.h"

#include "common/json.h"
#include "common/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char A[] = "0000:03:00.0";
static const char B[] = "0000:c3:00.0";

struct scene {
    struct gpu_table table;
    char step[GPU_PCI_BYTES];
    int64_t now_ms;
};

static enum gpu_news take(struct scene *scene, const char *line)
{
    return gpu_table_take(&scene->table, line, strlen(line), scene->now_ms, scene->step);
}

static enum gpu_news take_active(struct scene *scene, const char *pci, const char *more)
{
    AUTO_FREE char *line =
        xasprintf("{\"gpu\":\"%s\",\"vendor\":\"amd\",\"state\":\"active\"%s}", pci, more);

    return take(scene, line);
}

static void gpus_are_in_the_order_of_their_addresses(void **state)
{
    struct scene scene = {0};
    size_t index = 9;

    assert_int_equal(take_active(&scene, B, ""), GPU_NEWS_READ);
    assert_int_equal(take_active(&scene, A, ",\"uuid\":\"GPU-1a\""), GPU_NEWS_READ);
    assert_ptr_equal(gpu_table_find(&scene.table, "gpu:0", &index), scene.table.gpus[0]);
    assert_string_equal(scene.table.gpus[0]->pci, "0000:03:00.0");
    assert_int_equal(index, 0);
    assert_ptr_equal(gpu_table_find(&scene.table, "gpu:0000:C3:00.0", NULL), scene.table.gpus[1]);
    assert_ptr_equal(gpu_table_find(&scene.table, B, NULL), scene.table.gpus[1]);
    assert_ptr_equal(gpu_table_find(&scene.table, "gpu:GPU-1a", NULL), scene.table.gpus[0]);
    assert_null(gpu_table_find(&scene.table, "gpu:2", NULL));
    assert_null(gpu_table_find(&scene.table, "gpu:", NULL));
    assert_null(gpu_table_find(&scene.table, "", NULL));
    assert_null(gpu_table_find(&scene.table, "gpu:00", NULL));
    gpu_table_release(&scene.table);
}

static int see(struct scene *scene, const char *text)
{
    struct ability_answer answer;
    struct err err = ERR_INIT;
    AUTO_JSON json_t *record = json_parse(text, strlen(text), strlen(text) + 1, &err);

    assert_non_null(record);
    if (ability_read(record, &answer, &err) != 0) {
        assert_int_equal(err.kind, ERR_PROTOCOL);
        return -1;
    }
    gpu_table_see(&scene->table, &answer);
    return 0;
}

/* Whoever of the two tells of a GPU, it is there; when neither does, it is gone. */
static void a_worker_program_tells_of_gpus_as_well(void **state)
{
    struct scene scene = {0};

    assert_int_equal(take_active(&scene, B, ",\"name\":\"Radeon\",\"uuid\":\"ab\""), GPU_NEWS_READ);
    assert_int_equal(see(&scene,
                         "{\"devices\":["
                         "{\"pci\":\"0000:C3:00.0\",\"usable\":true,\"name\":\"gfx\","
                         "\"memory_bytes\":7},"
                         "{\"pci\":\"0000:03:00.0\",\"usable\":false,\"reason\":\"too old\","
                         "\"uuid\":\"GPU-7\",\"name\":\"Old\"}]}"),
                     0);
    assert_int_equal(scene.table.count, 2);
    assert_string_equal(scene.table.gpus[0]->name, "Old");
    assert_string_equal(scene.table.gpus[0]->ability.reason, "too old");
    assert_false(scene.table.gpus[0]->ability.is_usable);
    assert_string_equal(scene.table.gpus[1]->name, "Radeon");
    assert_true(scene.table.gpus[1]->ability.is_usable);
    assert_int_equal(scene.table.gpus[1]->ability.memory_bytes, 7);
    assert_ptr_equal(gpu_table_find(&scene.table, "gpu:03:00.0", NULL), scene.table.gpus[0]);
    assert_ptr_equal(gpu_table_find(&scene.table, "gpu:gpu-7", NULL), scene.table.gpus[0]);
    /* A round in which only B is told of: A is still known. */
    assert_int_equal(take(&scene, "{\"done\":true}"), GPU_NEWS_DONE);
    assert_int_equal(scene.table.count, 2);
    assert_int_equal(scene.table.change_count, 1);
    /* B has been taken out. */
    assert_int_equal(take(&scene, "{\"done\":true}"), GPU_NEWS_DONE);
    assert_int_equal(scene.table.count, 1);
    assert_int_equal(scene.table.change_count, 2);
    assert_int_equal(see(&scene, "{\"devices\":[],\"reason\":\"no driver\"}"), 0);
    assert_int_equal(scene.table.count, 0);
    /* One without an address hides no other. */
    assert_int_equal(see(&scene, "{\"devices\":[{\"pci\":null,\"usable\":true},"
                                 "{\"pci\":\"0000:03:00.0\",\"usable\":true}]}"),
                     0);
    assert_int_equal(scene.table.count, 1);
    assert_string_equal(scene.table.gpus[0]->pci, "0000:03:00.0");
    gpu_table_release(&scene.table);
}

static void an_answer_of_a_worker_program_that_is_none_changes_nothing(void **state)
{
    static const char *const BAD[] = {
        "{}",
        "{\"devices\":null}",
        "{\"devices\":[null]}",
        "{\"devices\":[{}]}",
        "{\"devices\":[{\"pci\":\"0000:03:00.0\"}]}",
        "{\"devices\":[{\"pci\":\"0000:03:00.0\",\"usable\":1}]}",
        "{\"devices\":[{\"pci\":\"cpu\",\"usable\":true}]}",
        "{\"devices\":[{\"pci\":\"0000:03:00.0000000000000000000000000000\",\"usable\":true}]}",
        "{\"devices\":[{\"pci\":\"0000:03:00.0\",\"usable\":true,\"free_bytes\":-1}]}",
        "{\"devices\":[{\"pci\":\"0000:03:00.0\",\"usable\":true,\"name\":[]}]}",
        "{\"devices\":[],\"reason\":1}",
    };
    struct scene scene = {0};

    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++)
        assert_int_equal(see(&scene, BAD[i]), -1);
    assert_int_equal(scene.table.count, 0);
    gpu_table_release(&scene.table);
}

static void a_line_that_is_none_changes_nothing(void **state)
{
    static const char *const BAD[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        "{\"gpu\":1,\"state\":\"active\"}",
        "{\"gpu\":\"../../etc\",\"state\":\"active\"}",
        "{\"gpu\":\"\",\"state\":\"active\"}",
        "{\"gpu\":\"0000:03:00.0\"}",
        "{\"gpu\":\"0000:03:00.0\",\"state\":\"dancing\"}",
        "{\"gpu\":\"0000:03:00.00000000000000000000000\",\"state\":\"active\"}",
        "{\"uses\":\"0000:03:00.0\",\"processes\":[]}",
        "{\"uses\":\"0000:03:00.0\"}",
        "{\"step\":\"\"}",
        "{\"step\":\"a b\"}",
        "{\"done\":false}",
    };
    struct scene scene = {0};

    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++)
        assert_int_equal(take(&scene, BAD[i]), GPU_NEWS_NONE);
    assert_int_equal(scene.table.count, 0);
    gpu_table_release(&scene.table);
}

static void there_is_an_end_to_the_number_of_gpus(void **state)
{
    struct scene scene = {0};

    for (unsigned i = 0; i < 3 * GPU_MAX_COUNT; i++) {
        AUTO_FREE char *pci = xasprintf("0000:%02x:00.0", i);

        assert_int_equal(take_active(&scene, pci, ""),
                         i < GPU_MAX_COUNT ? GPU_NEWS_READ : GPU_NEWS_NONE);
    }
    assert_int_equal(scene.table.count, GPU_MAX_COUNT);
    gpu_table_release(&scene.table);
}

static void figures_that_cannot_be_are_unknown(void **state)
{
    struct scene scene = {0};
    const struct gpu_figures *figures = NULL;

    (void)take_active(&scene, A,
                      ",\"busy_percent\":100.5,\"memory_used_bytes\":-1,\"memory_total_bytes\":0,"
                      "\"temperature_celsius\":\"hot\",\"power_watts\":1e300,\"fan_rpm\":0,"
                      "\"core_clock_mhz\":null");
    figures = &scene.table.gpus[0]->figures;
    for (int i = 0; i < GPU_FIGURE_COUNT; i++)
        assert_int_equal(gpu_figures_knows(figures, (enum gpu_figure)i), i == GPU_FIGURE_FAN);
    assert_true(figures->values[GPU_FIGURE_FAN] == 0);
    gpu_table_release(&scene.table);
}

static void texts_of_drivers_are_printable_and_cut(void **state)
{
    struct scene scene = {0};
    char line[4096];

    (void)snprintf(line, sizeof(line), ",\"name\":\"\\u001b]0;x\\u0007%0200d\\u202e\"", 0);
    (void)take_active(&scene, A, line);
    assert_int_equal(strlen(scene.table.gpus[0]->name), GPU_TEXT_BYTES - 1);
    assert_int_equal(strncmp(scene.table.gpus[0]->name, "?]0;x?0", 7), 0);
    gpu_table_release(&scene.table);
}

static void who_is_not_told_of_in_a_whole_round_is_gone(void **state)
{
    struct scene scene = {0};

    (void)take_active(&scene, A, "");
    (void)take_active(&scene, B, "");
    (void)take(&scene, "{\"uses\":\"0000:c3:00.0\",\"processes\":[{\"pid\":7}]}");
    assert_int_equal(take(&scene, "{\"done\":true}"), GPU_NEWS_DONE);
    assert_int_equal(scene.table.count, 2);
    assert_true(scene.table.gpus[1]->knows_uses);
    /* One that is left out stays. */
    gpu_table_keep(&scene.table, A);
    (void)take_active(&scene, B, "");
    assert_int_equal(take(&scene, "{\"done\":true}"), GPU_NEWS_DONE);
    assert_int_equal(scene.table.count, 2);
    assert_false(scene.table.gpus[1]->knows_uses);
    assert_int_equal(take(&scene, "{\"step\":\"0000:03:00.0\",\"vendor\":\"amd\"}"), GPU_NEWS_STEP);
    assert_string_equal(scene.step, A);
    assert_int_equal(take(&scene, "{\"done\":true}"), GPU_NEWS_DONE);
    assert_int_equal(scene.table.count, 1);
    assert_string_equal(scene.table.gpus[0]->pci, "0000:03:00.0");
    gpu_table_release(&scene.table);
}

static void what_failed_knows_nothing_any_more(void **state)
{
    struct scene scene = {0};

    (void)take_active(&scene, A, ",\"busy_percent\":5,\"name\":\"N\"");
    (void)take_active(&scene, B, ",\"busy_percent\":6");
    gpu_table_fail(&scene.table, A, 0);
    gpu_table_fail(&scene.table, "processes", 0);
    assert_int_equal(scene.table.gpus[0]->state, GPU_UNREADABLE);
    assert_false(gpu_figures_knows_any(&scene.table.gpus[0]->figures));
    assert_string_equal(scene.table.gpus[0]->name, "N");
    assert_int_equal(scene.table.gpus[1]->state, GPU_ACTIVE);
    gpu_table_fail(&scene.table, NULL, 0);
    assert_int_equal(scene.table.gpus[1]->state, GPU_UNREADABLE);
    gpu_table_release(&scene.table);
}

static bool is_pid_7(const void *owner, const struct gpu_use *use)
{
    return use->pid == 7;
}

static void what_is_held_is_known_when_all_of_it_is(void **state)
{
    struct scene scene = {0};

    (void)take_active(&scene, A, "");
    assert_int_equal(gpu_held_bytes(scene.table.gpus[0], is_pid_7, NULL), -1);
    (void)take(&scene, "{\"uses\":\"0000:03:00.0\",\"processes\":[{\"pid\":7,\"memory_bytes\":10},"
                       "{\"pid\":0},5,{\"pid\":8,\"memory_bytes\":null},"
                       "{\"pid\":7,\"memory_bytes\":1,\"command\":\"a\\u0000b\"}]}");
    /* A NUL is no JSON of ours. */
    assert_int_equal(gpu_held_bytes(scene.table.gpus[0], is_pid_7, NULL), -1);
    (void)take(&scene, "{\"uses\":\"0000:03:00.0\",\"processes\":[{\"pid\":7,\"memory_bytes\":10},"
                       "{\"pid\":0},5,{\"pid\":8,\"memory_bytes\":null},"
                       "{\"pid\":7,\"memory_bytes\":1}]}");
    assert_int_equal(scene.table.gpus[0]->use_count, 3);
    assert_int_equal(gpu_held_bytes(scene.table.gpus[0], is_pid_7, NULL), 11);
    (void)take(&scene, "{\"uses\":\"0000:03:00.0\",\"processes\":[{\"pid\":7}]}");
    assert_int_equal(gpu_held_bytes(scene.table.gpus[0], is_pid_7, NULL), -1);
    gpu_table_release(&scene.table);
}

/* ---- the past ---- */

static void add(struct gpu_history *history, int64_t slot, double busy)
{
    struct gpu_figures figures;

    gpu_figures_init(&figures);
    gpu_figures_set(&figures, GPU_FIGURE_BUSY, busy);
    gpu_history_add(history, slot * GPU_HISTORY_STEP_MS, &figures);
}

static char *told(struct gpu_history *history, int64_t slot)
{
    AUTO_JSON json_t *whole = gpu_history_to_json(history, slot * GPU_HISTORY_STEP_MS);

    return json_to_text(json_object_get(whole, "busy_percent"));
}

static void assert_told(struct gpu_history *history, int64_t slot, const char *expected)
{
    AUTO_FREE char *text = told(history, slot);

    assert_string_equal(text, expected);
}

static void a_reading_holds_for_a_while_and_then_nothing_is_known(void **state)
{
    struct gpu_history history = {0};

    assert_told(&history, 1000, "[]");
    add(&history, 1000, 10);
    add(&history, 1000, 11); /* the last one of a step counts */
    assert_told(&history, 1000, "[11]");
    add(&history, 1003, 20);
    assert_told(&history, 1003, "[11,11,11,20]");
    assert_told(&history, 1009, "[11,11,11,20,20,20,20,20,null,null]");
    add(&history, 1010, 30);
    assert_told(&history, 1010, "[11,11,11,20,20,20,20,20,null,null,30]");
}

static void an_hour_is_kept_and_no_more(void **state)
{
    struct gpu_history history = {0};
    AUTO_JSON json_t *whole = NULL;
    const json_t *values = NULL;

    for (int64_t slot = 1; slot <= 2 * GPU_HISTORY_SLOT_COUNT + 7; slot++)
        add(&history, slot, (double)(slot % 100));
    whole = gpu_history_to_json(&history,
                                (int64_t)(2 * GPU_HISTORY_SLOT_COUNT + 7) * GPU_HISTORY_STEP_MS);
    values = json_object_get(whole, "busy_percent");
    assert_int_equal(json_array_size(values), GPU_HISTORY_SLOT_COUNT);
    for (size_t i = 0; i < GPU_HISTORY_SLOT_COUNT; i++)
        assert_int_equal(json_integer_value(json_array_get(values, i)),
                         (GPU_HISTORY_SLOT_COUNT + 8 + i) % 100);
    assert_int_equal(GPU_HISTORY_SLOT_COUNT * GPU_HISTORY_STEP_MS, 3600000);
    /* A day later nothing of it is left, and the next one begins anew. */
    assert_told(&history, 20000, "[null]");
    add(&history, 20000, 1);
    assert_told(&history, 20000, "[1]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpus_are_in_the_order_of_their_addresses),
        cmocka_unit_test(a_worker_program_tells_of_gpus_as_well),
        cmocka_unit_test(an_answer_of_a_worker_program_that_is_none_changes_nothing),
        cmocka_unit_test(a_line_that_is_none_changes_nothing),
        cmocka_unit_test(there_is_an_end_to_the_number_of_gpus),
        cmocka_unit_test(figures_that_cannot_be_are_unknown),
        cmocka_unit_test(texts_of_drivers_are_printable_and_cut),
        cmocka_unit_test(who_is_not_told_of_in_a_whole_round_is_gone),
        cmocka_unit_test(what_failed_knows_nothing_any_more),
        cmocka_unit_test(what_is_held_is_known_when_all_of_it_is),
        cmocka_unit_test(a_reading_holds_for_a_while_and_then_nothing_is_known),
        cmocka_unit_test(an_hour_is_kept_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
