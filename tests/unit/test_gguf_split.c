/* Models in several files: opened from any part they are one, and each way in which parts may not
 * belong together is refused, with the part's number or name in the reason. */
#include "hip/model/gguf.h"

#include "common/attr.h"
#include "common/io.h"
#include "hip/model/model.h"
#include "tests/temp_folder.h"
#include "tests/tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

enum { FILE_MAX_BYTES = 1024 * 1024, PARTS = 3 };

/* What a part says of itself, and the tensors it has. */
struct part {
    uint32_t index;
    uint32_t count;
    uint32_t tensor_count; /* of all parts */
    const char *tensors[3];
};

/* Three parts of four tensors; the second has none, as a part may. */
static const struct part GOOD[PARTS] = {
    {.index = 0, .count = 3, .tensor_count = 4, .tensors = {"c", "a"}},
    {.index = 1, .count = 3, .tensor_count = 4},
    {.index = 2, .count = 3, .tensor_count = 4, .tensors = {"d", "b"}},
};

static char *part_path(const char *folder, uint32_t number, uint32_t count)
{
    return xasprintf("%s/model-%05u-of-%05u.gguf", folder, number, count);
}

static void write_file(const char *path, const struct buf *file)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct err err = ERR_INIT;

    assert_true(fd >= 0);
    assert_int_equal(io_write_all(fd, file->data, file->len, &err), 0);
}

static void add_split_keys(struct gguf_writer *writer, uint32_t index, uint32_t count,
                           uint32_t tensor_count)
{
    uint16_t numbers[2] = {(uint16_t)index, (uint16_t)count};

    writer_key(writer, "split.no", GGUF_U16);
    writer_check(buf_add(&writer->entries, &numbers[0], sizeof(numbers[0])));
    writer_key(writer, "split.count", GGUF_U16);
    writer_check(buf_add(&writer->entries, &numbers[1], sizeof(numbers[1])));
    writer_key(writer, "split.tensors.count", GGUF_I32);
    writer_u32(&writer->entries, tensor_count);
}

/* Each tensor is eight floats, the first of them the code of its name. */
static void write_part(const char *path, const struct part *part)
{
    AUTO_BUF struct buf file = BUF_INIT(FILE_MAX_BYTES);
    struct gguf_writer writer;

    writer_init(&writer, FILE_MAX_BYTES);
    if (part->index == 0)
        writer_add_text(&writer, "general.architecture", "llama");
    add_split_keys(&writer, part->index, part->count, part->tensor_count);
    for (size_t i = 0; i < ARRAY_COUNT(part->tensors) && part->tensors[i] != NULL; i++) {
        const float values[8] = {(float)part->tensors[i][0]};

        writer_add_tensor(&writer, part->tensors[i], QUANT_F32, 8, 1);
        writer_encode(&writer.data, QUANT_F32, values, 8);
    }
    writer_finish(&writer, &file);
    write_file(path, &file);
    writer_release(&writer);
}

static void write_parts(const char *folder, const struct part parts[PARTS])
{
    for (uint32_t i = 0; i < PARTS; i++) {
        AUTO_FREE char *path = part_path(folder, i + 1, PARTS);

        write_part(path, &parts[i]);
    }
}

static uint64_t file_bytes(const char *path)
{
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    return (uint64_t)status.st_size;
}

static void any_part_opens_the_whole(void **state)
{
    AUTO_FREE char *folder = temp_folder_make();
    uint64_t total_bytes = 0;

    write_parts(folder, GOOD);
    for (uint32_t i = 0; i < PARTS; i++) {
        AUTO_FREE char *path = part_path(folder, i + 1, PARTS);

        total_bytes += file_bytes(path);
    }
    for (uint32_t i = 0; i < PARTS; i++) {
        AUTO_FREE char *path = part_path(folder, i + 1, PARTS);
        struct err err = ERR_INIT;
        struct gguf *gguf = gguf_open(path, &err);

        assert_non_null(gguf);
        assert_int_equal(gguf_file_bytes(gguf), total_bytes);
        assert_int_equal(gguf_tensor_count(gguf), 4);
        assert_true(gguf_has(gguf, "general.architecture"));
        assert_int_equal(gguf_check_same(gguf, &err), 0);
        for (const char *name = "abcd"; *name != '\0'; name++) {
            const struct gguf_tensor *tensor = gguf_find_tensor(gguf, (char[]){*name, '\0'});

            assert_non_null(tensor);
            assert_true(*(const float *)tensor->data == (float)*name);
        }
        assert_memory_equal(gguf_tensor_at(gguf, 0)->name.data, "c", 1);
        assert_memory_equal(gguf_tensor_at(gguf, 3)->name.data, "b", 1);
        gguf_free(gguf);
    }
    temp_folder_remove(folder);
}

/* Opens part NUMBER of what lies in FOLDER. */
static void expect_refused(const char *folder, uint32_t number, enum err_kind kind,
                           const char *reason)
{
    AUTO_FREE char *path = part_path(folder, number, PARTS);
    struct err err = ERR_INIT;

    if (gguf_open(path, &err) != NULL)
        fail_msg("accepted, though %s", reason);
    assert_int_equal(err.kind, kind);
    if (strstr(err.message, reason) == NULL)
        fail_msg("said \"%s\", not \"%s\"", err.message, reason);
}

static void a_missing_part_is_named(void **state)
{
    for (uint32_t missing = 1; missing <= PARTS; missing++) {
        AUTO_FREE char *folder = temp_folder_make();
        AUTO_FREE char *path = part_path(folder, missing, PARTS);
        AUTO_FREE char *reason =
            xasprintf("part %u of %u: there is no file %s", missing, PARTS, path);

        write_parts(folder, GOOD);
        assert_int_equal(unlink(path), 0);
        for (uint32_t from = 1; from <= PARTS; from++) {
            if (from != missing)
                expect_refused(folder, from, ERR_NO_FILE, reason);
        }
        temp_folder_remove(folder);
    }
}

static void parts_that_do_not_belong_together_are_refused(void **state)
{
    static const struct {
        struct part part; /* in place of the third */
        const char *reason;
    } CASES[] = {
        {{2, 3, 4, {"d"}}, "split.tensors.count is 4, but the parts have 3 tensors"},
        {{2, 3, 4, {"d", "b", "e"}}, "split.tensors.count is 4, but the parts have 5 tensors"},
        {{2, 3, 4, {"d", "a"}}, "the tensor a is there twice"},
        {{2, 3, 5, {"d", "b"}}, "part 3 of 3: split.tensors.count is 5, in another part 4"},
        {{1, 3, 4, {"d", "b"}}, "part 3 of 3: the file is part 2 of 3 by its metadata"},
        {{2, 4, 4, {"d", "b"}}, "part 3 of 3: the file is part 3 of 4 by its metadata"},
        {{5, 3, 4, {"d", "b"}}, "part 3 of 3: split.no is 5, of 3 parts"},
        {{2, 9999, 4, {"d", "b"}}, "part 3 of 3: split.count is 9999; 256 parts are the most"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        AUTO_FREE char *folder = temp_folder_make();
        AUTO_FREE char *path = part_path(folder, PARTS, PARTS);

        write_parts(folder, GOOD);
        write_part(path, &CASES[i].part);
        expect_refused(folder, 1, ERR_INVALID_MODEL, CASES[i].reason);
        temp_folder_remove(folder);
    }
}

/* A part is read as carefully as a file of its own. */
static void a_part_that_is_cut_is_refused_by_its_number(void **state)
{
    AUTO_FREE char *folder = temp_folder_make();
    AUTO_FREE char *path = part_path(folder, PARTS, PARTS);

    write_parts(folder, GOOD);
    assert_int_equal(truncate(path, (off_t)file_bytes(path) - 1), 0);
    expect_refused(folder, 1, ERR_INVALID_MODEL, "part 3 of 3: b lies beyond the end of the file");
    assert_int_equal(truncate(path, 0), 0);
    expect_refused(folder, 2, ERR_INVALID_MODEL, "part 3 of 3: the file is empty");
    temp_folder_remove(folder);
}

static void a_part_without_its_name_is_refused(void **state)
{
    AUTO_FREE char *folder = temp_folder_make();
    AUTO_FREE char *path = part_path(folder, 2, PARTS);
    AUTO_FREE char *other = part_path(folder, 1, PARTS);

    write_parts(folder, GOOD);
    assert_int_equal(rename(path, other), 0);
    expect_refused(folder, 1, ERR_INVALID_MODEL,
                   "it is part 2 of 3, but its name does not end in -00002-of-00003.gguf");
    temp_folder_remove(folder);
}

static void a_part_in_memory_is_refused_and_one_part_of_one_is_whole(void **state)
{
    for (uint32_t count = 1; count <= 2; count++) {
        AUTO_BUF struct buf file = BUF_INIT(FILE_MAX_BYTES);
        struct err err = ERR_INIT;
        struct gguf_writer writer;
        struct gguf *gguf = NULL;

        writer_init(&writer, FILE_MAX_BYTES);
        add_split_keys(&writer, 0, count, 0);
        writer_finish(&writer, &file);
        gguf = gguf_open_memory(file.data, file.len, &err);
        if (count == 1)
            assert_non_null(gguf);
        else
            assert_string_equal(err.message, "it is part 1 of 2, and the others are files");
        gguf_free(gguf);
        writer_release(&writer);
    }
}

static void a_change_of_any_part_is_noticed(void **state)
{
    for (uint32_t changed = 1; changed <= PARTS; changed++) {
        AUTO_FREE char *folder = temp_folder_make();
        AUTO_FREE char *first = part_path(folder, 1, PARTS);
        AUTO_FREE char *path = part_path(folder, changed, PARTS);
        struct err err = ERR_INIT;
        struct gguf *gguf = NULL;

        write_parts(folder, GOOD);
        gguf = gguf_open(first, &err);
        assert_non_null(gguf);
        assert_int_equal(truncate(path, 10), 0);
        assert_int_equal(gguf_check_same(gguf, &err), -1);
        assert_int_equal(err.kind, ERR_INVALID_MODEL);
        gguf_free(gguf);
        temp_folder_remove(folder);
    }
}

/* ---- a whole model ---- */

/* Tensors FIRST to FIRST + COUNT of WHOLE; its metadata, as the bytes they are, in part 0. */
static void write_model_part(const char *folder, const struct buf *file, const struct gguf *whole,
                             uint32_t index, size_t first, size_t count)
{
    const size_t header_bytes = 4 + 4 + 8 + 8;
    const char *infos = gguf_tensor_at(whole, 0)->name.data - sizeof(uint64_t);
    AUTO_FREE char *path = part_path(folder, index + 1, 2);
    AUTO_BUF struct buf out = BUF_INIT(FILE_MAX_BYTES);
    struct gguf_writer writer;

    writer_init(&writer, FILE_MAX_BYTES);
    if (index == 0) {
        memcpy(&writer.entry_count, file->data + 16, sizeof(writer.entry_count));
        writer_check(buf_add(&writer.entries, file->data + header_bytes,
                             (size_t)(infos - file->data) - header_bytes));
    }
    add_split_keys(&writer, index, 2, (uint32_t)gguf_tensor_count(whole));
    for (size_t i = first; i < first + count; i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(whole, i);
        AUTO_FREE char *name = xasprintf("%.*s", (int)tensor->name.len, tensor->name.data);

        writer_add_tensor(&writer, name, tensor->type, tensor->dims[0], tensor->dims[1]);
        writer_check(buf_add(&writer.data, tensor->data, tensor->size_bytes));
    }
    writer_finish(&writer, &out);
    write_file(path, &out);
    writer_release(&writer);
}

static void a_split_model_has_what_the_whole_has(void **state)
{
    AUTO_FREE char *folder = temp_folder_make();
    AUTO_FREE char *second = part_path(folder, 2, 2);
    AUTO_BUF struct buf file = BUF_INIT(FILE_MAX_BYTES);
    struct tiny_model tiny = tiny_model_default();
    struct err err = ERR_INIT;
    struct gguf *whole = NULL;
    struct model *model = NULL;
    size_t count = 0;

    tiny_model_build(&tiny, &file);
    whole = gguf_open_memory(file.data, file.len, &err);
    assert_non_null(whole);
    count = gguf_tensor_count(whole);
    write_model_part(folder, &file, whole, 0, 0, count / 2);
    write_model_part(folder, &file, whole, 1, count / 2, count - count / 2);
    model = model_open(second, &err);
    assert_non_null(model);
    assert_int_equal(gguf_tensor_count(model_gguf(model)), count);
    for (size_t i = 0; i < count; i++) {
        const struct gguf_tensor *expected = gguf_tensor_at(whole, i);
        const struct gguf_tensor *tensor = gguf_tensor_at(model_gguf(model), i);

        assert_int_equal(tensor->size_bytes, expected->size_bytes);
        assert_memory_equal(tensor->data, expected->data, expected->size_bytes);
    }
    model_free(model);
    gguf_free(whole);
    temp_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_part_opens_the_whole),
        cmocka_unit_test(a_missing_part_is_named),
        cmocka_unit_test(parts_that_do_not_belong_together_are_refused),
        cmocka_unit_test(a_part_that_is_cut_is_refused_by_its_number),
        cmocka_unit_test(a_part_without_its_name_is_refused),
        cmocka_unit_test(a_part_in_memory_is_refused_and_one_part_of_one_is_whole),
        cmocka_unit_test(a_change_of_any_part_is_noticed),
        cmocka_unit_test(a_split_model_has_what_the_whole_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
