/* The registry of models as the rest of rbeed sees it, beside a real store. */
#include "supervisor/models.h"

#include "common/attr.h"
#include "common/json.h"
#include "supervisor/supervisor.h"
#include "tests/full_disk.h"
#include "tests/temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* ---- a registry without a supervisor around it ---- */

struct fixture {
    struct supervisor supervisor;
    char *folder;
};

static int set_up(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    struct store_listener nobody = {.on_health = NULL};
    struct store_report report = {0};
    struct err err = ERR_INIT;
    AUTO_FREE char *path = NULL;

    fixture->folder = temp_folder_make();
    path = paths_join(fixture->folder, "rbee.db");
    TAILQ_INIT(&fixture->supervisor.models);
    TAILQ_INIT(&fixture->supervisor.workers);
    fixture->supervisor.store = store_open(path, &report, &err);
    assert_non_null(fixture->supervisor.store);
    assert_int_equal(store_start(fixture->supervisor.store, &nobody, &err), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    models_release(&fixture->supervisor);
    store_close(fixture->supervisor.store);
    temp_folder_remove(fixture->folder);
    free(fixture->folder);
    free(fixture);
    return 0;
}

/* Puts NAME with the file PATH of SIZE_BYTES, which its description repeats. */
static struct model *put(struct fixture *fixture, const char *name, const char *path,
                         int64_t size_bytes, struct err *err)
{
    struct model_stamp stamp = {.size_bytes = size_bytes};
    json_t *details = json_pack("{s:I}", "parameters", (json_int_t)size_bytes);
    const struct model_origin by_hand = {.source = ""};
    const struct model_facts facts = {
        .path = path, .stamp = &stamp, .details = details, .origin = &by_hand};
    struct model *model = model_put(&fixture->supervisor, name, &facts, STORE_NOBODY, err);

    json_decref(details);
    return model;
}

static void assert_model(struct fixture *fixture, const char *name, const char *path,
                         int64_t size_bytes)
{
    const struct model *model = model_find(&fixture->supervisor, name);

    assert_non_null(model);
    assert_string_equal(model->path, path);
    assert_int_equal(model->stamp.size_bytes, size_bytes);
    assert_int_equal(json_integer_value(json_object_get(model->details, "parameters")), size_bytes);
}

/* ---- tests ---- */

static void a_put_makes_and_replaces(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    struct model *model = put(fixture, "m", "/old", 1, &err);
    int64_t added_ms = 0;

    assert_non_null(model);
    assert_model(fixture, "m", "/old", 1);
    added_ms = model->added_ms;
    assert_ptr_equal(put(fixture, "m", "/new", 2, &err), model);
    assert_model(fixture, "m", "/new", 2);
    assert_true(model->added_ms == added_ms);
    assert_ptr_equal(model_find_path(&fixture->supervisor, "/new"), model);
    assert_null(model_find_path(&fixture->supervisor, "/old"));
}

/* Any program may have written the database it was read from. */
static void a_source_that_is_no_text_is_shown_all_the_same(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    struct model *model = put(fixture, "m", "/m", 1, &err);
    json_t *record = NULL;

    assert_non_null(model);
    free(model->source);
    model->source = xstrdup("hf:a/\xff");
    record = model_record(model);
    assert_string_equal(json_string_value(json_object_get(record, "source")), "hf:a/\xef\xbf\xbd");
    json_decref(record);
}

/* What a file is known by is not what another one in its place is. */
static void a_file_that_has_changed_keeps_no_sum(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    json_t *details = json_object();
    json_t *files = json_pack("[{s:s, s:s}]", "file", "m", "sha256", "a");
    const struct model_origin origin = {.source = "hf:a/b", .files = files, .is_published = true};
    struct model_stamp stamp = {.size_bytes = 1, .modified_ns = 1};
    struct model_facts facts = {
        .path = "/m", .stamp = &stamp, .details = details, .origin = &origin};
    struct model *model = model_put(&fixture->supervisor, "m", &facts, STORE_NOBODY, &err);

    assert_non_null(model);
    facts.origin = NULL;
    assert_non_null(model_put(&fixture->supervisor, "m", &facts, STORE_NOBODY, &err));
    assert_true(json_equal(model->files, files) && model->is_published);
    stamp.modified_ns = 2;
    assert_non_null(model_put(&fixture->supervisor, "m", &facts, STORE_NOBODY, &err));
    assert_string_equal(model->source, "hf:a/b");
    assert_int_equal(json_array_size(model->files), 0);
    assert_false(model->is_published);
    json_decref(files);
    json_decref(details);
}

/* A full disk costs the news, not what was known before. */
static void a_put_that_the_store_does_not_take_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;

    assert_non_null(put(fixture, "kept", "/kept", 1, &err));
    full_disk_limit(0);
    while (put(fixture, "fill", "/fill", 1, &err) != NULL)
        continue; /* the queue is bounded */
    assert_int_equal(err.kind, ERR_BUSY);
    assert_null(put(fixture, "kept", "/else", 2, &err));
    assert_model(fixture, "kept", "/kept", 1);
    assert_null(put(fixture, "new", "/new", 1, &err));
    assert_null(model_find(&fixture->supervisor, "new"));
    assert_model(fixture, "fill", "/fill", 1);
    full_disk_limit(RLIM_INFINITY);
}

static void what_is_no_description_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct model_stamp stamp = {.size_bytes = 2};
    json_t *details = json_pack("{s:s}", "parameters", "many");
    const struct model_facts facts = {.path = "/else", .stamp = &stamp, .details = details};
    struct err err = ERR_INIT;

    assert_non_null(put(fixture, "kept", "/kept", 1, &err));
    assert_null(model_put(&fixture->supervisor, "kept", &facts, STORE_NOBODY, &err));
    assert_int_equal(err.kind, ERR_PROTOCOL);
    assert_model(fixture, "kept", "/kept", 1);
    json_decref(details);
}

#define IN_A_REGISTRY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* What a description says of memory is another program's word. */
static void the_need_of_a_model_is_what_its_description_says(void **state)
{
    static const struct {
        const char *details;
        int64_t context_tokens;
        int64_t bytes;
        int64_t slots; /* 0: not said */
    } CASES[] = {
        {"{\"fixed_bytes\":1000,\"token_bytes\":3,\"context_tokens\":100000}", 10, 1030, 0},
        {"{\"fixed_bytes\":1000,\"token_bytes\":3,\"context_tokens\":100000}", 0, 25576, 0},
        {"{\"fixed_bytes\":1000,\"token_bytes\":3,\"context_tokens\":100}", 0, 1300, 0},
        {"{\"fixed_bytes\":1000,\"token_bytes\":3}", 0, 25576, 0},
        {"{\"fixed_bytes\":1000,\"context_tokens\":100}", 0, 1000, 0},
        {"{\"fixed_bytes\":1000,\"token_bytes\":1000000000000000000}", 100, INT64_MAX, 0},
        {"{\"fixed_bytes\":1000,\"token_bytes\":-3}", 10, 1000, 0},
        {"{\"fixed_bytes\":-1,\"token_bytes\":3}", 10, 0, 0},
        {"{\"fixed_bytes\":\"many\",\"token_bytes\":3}", 10, 0, 0},
        {"{\"fixed_bytes\":9000000000000000000,\"token_bytes\":3}", 10, 0, 0},
        {"{\"fixed_bytes\":1000,\"token_bytes\":3,\"slot_bytes\":50}", 10, 1230, 0},
        {"{\"fixed_bytes\":1000,\"token_bytes\":3,\"slot_bytes\":50}", 10, 1080, 1},
        {"{\"fixed_bytes\":1000,\"slot_bytes\":1000000000000000000}", 10, INT64_MAX, 256},
        {"{}", 10, 0, 0},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        AUTO_JSON json_t *details = json_loads(CASES[i].details, 0, NULL);
        struct model_need need = model_need_of(details);

        assert_int_equal(model_need_bytes(&need, CASES[i].context_tokens, CASES[i].slots),
                         CASES[i].bytes);
    }
}

static void keys_and_values_take_what_their_type_does(void **state)
{
    AUTO_JSON json_t *details =
        json_loads("{\"fixed_bytes\":1000,\"token_bytes\":32,\"q8_0_token_bytes\":17}", 0, NULL);
    struct model_need need = model_need_of(details);
    struct model_need q8_0 = model_need_kept_as(&need, "q8_0");
    struct model_need f16 = model_need_kept_as(&need, "f16");
    struct model_need unsaid = model_need_kept_as(&need, "");

    assert_int_equal(model_need_bytes(&q8_0, 10, 1), 1170);
    assert_int_equal(model_need_bytes(&f16, 10, 1), 1320);
    assert_int_equal(model_need_bytes(&unsaid, 10, 1), 1320);
    need.q8_0_token_bytes = 0; /* of an older worker's description */
    q8_0 = model_need_kept_as(&need, "q8_0");
    assert_int_equal(model_need_bytes(&q8_0, 10, 1), 1320);
}

/* With a context of 100 tokens and two requests at a time; a description of before has no parts. */
static void the_parts_of_a_model_are_what_its_description_says(void **state)
{
    static const struct {
        const char *details;
        struct split_need need;
    } CASES[] = {
        {"{\"fixed_bytes\":1500,\"token_bytes\":3,\"layers\":10,\"layers_bytes\":1000,"
         "\"first_bytes\":300,\"last_bytes\":250,\"slot_bytes\":5}",
         {10, 1300, {310, 250}}},
        {"{\"fixed_bytes\":1600,\"layers\":10}", {10, 1500, {100, 100}}},
        {"{\"fixed_bytes\":1600}", {32, 1500, {100, 100}}},
        {"{\"fixed_bytes\":1600,\"layers\":-1}", {32, 1500, {100, 100}}},
        {"{\"fixed_bytes\":1600,\"layers\":1000000000}", {32, 1500, {100, 100}}},
        {"{\"fixed_bytes\":1600,\"layers\":4,\"layers_bytes\":-7}", {4, 1500, {100, 100}}},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        AUTO_JSON json_t *details = json_loads(CASES[i].details, 0, NULL);
        struct model_need need = model_need_of(details);
        struct split_need split;

        model_split_need(&need, 100, 2, 1600, &split);
        assert_int_equal(split.layer_count, CASES[i].need.layer_count);
        assert_int_equal(split.layers_bytes, CASES[i].need.layers_bytes);
        assert_int_equal(split.part_bytes[0], CASES[i].need.part_bytes[0]);
        assert_int_equal(split.part_bytes[1], CASES[i].need.part_bytes[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_need_of_a_model_is_what_its_description_says),
        cmocka_unit_test(keys_and_values_take_what_their_type_does),
        cmocka_unit_test(the_parts_of_a_model_are_what_its_description_says),
        IN_A_REGISTRY(a_file_that_has_changed_keeps_no_sum),
        IN_A_REGISTRY(a_put_makes_and_replaces),
        IN_A_REGISTRY(a_source_that_is_no_text_is_shown_all_the_same),
        IN_A_REGISTRY(a_put_that_the_store_does_not_take_changes_nothing),
        IN_A_REGISTRY(what_is_no_description_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
