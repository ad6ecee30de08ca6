/* GGUF files, whole and hostile: each case is a file built byte by byte, with one thing wrong, and
 * the reason that must be given. */
#include "hip/model/gguf.h"

#include "common/attr.h"
#include "tests/gguf_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { FILE_MAX_BYTES = 1024 * 1024 };

/* ---- a good file, to be spoilt ---- */

static void build_good(struct gguf_writer *writer)
{
    const float values[32] = {1.0f, 2.0f, 3.0f};

    writer_init(writer, FILE_MAX_BYTES);
    writer_add_text(writer, "general.architecture", "llama");
    writer_add_u32(writer, "a.u32", 7);
    writer_add_f32(writer, "a.f32", 1.5f);
    writer_add_bool(writer, "a.bool", true);
    writer_add_array(writer, "a.texts", GGUF_STRING, 3);
    writer_text(&writer->entries, "one", 3);
    writer_text(&writer->entries, "", 0);
    writer_text(&writer->entries, "three", 5);
    writer_add_array(writer, "a.numbers", GGUF_I32, 2);
    writer_u32(&writer->entries, 5);
    writer_u32(&writer->entries, (uint32_t)-6);
    writer_add_tensor(writer, "first", QUANT_F32, 8, 2);
    writer_encode(&writer->data, QUANT_F32, values, 16);
    writer_add_tensor(writer, "second", QUANT_Q8_0, 32, 1);
    writer_encode(&writer->data, QUANT_Q8_0, values, 32);
}

/* Opens BUF from aligned memory of exactly its length, so that a sanitizer sees any step beyond. */
static struct gguf *open_bytes(const struct buf *file, void **out_copy, struct err *err)
{
    *out_copy = malloc(file->len);
    assert_true(*out_copy != NULL || file->len == 0);
    if (file->len > 0)
        memcpy(*out_copy, file->data, file->len);
    return gguf_open_memory(*out_copy, file->len, err);
}

static void expect_refused(const struct buf *file, const char *reason)
{
    AUTO_FREE void *copy = NULL;
    struct err err = ERR_INIT;
    struct gguf *gguf = open_bytes(file, &copy, &err);

    if (gguf != NULL)
        fail_msg("accepted, though %s", reason);
    assert_int_equal(err.kind, ERR_INVALID_MODEL);
    if (strstr(err.message, reason) == NULL)
        fail_msg("said \"%s\", not \"%s\"", err.message, reason);
}

static void a_good_file_gives_back_what_was_written(void **state)
{
    AUTO_FREE void *copy = NULL;
    AUTO_BUF struct buf file = BUF_INIT(FILE_MAX_BYTES);
    struct err err = ERR_INIT;
    struct gguf_writer writer;
    struct gguf *gguf = NULL;
    struct gguf_string text;
    uint64_t whole = 0;
    double real = 0.0;
    bool flag = false;

    build_good(&writer);
    writer_finish(&writer, &file);
    gguf = open_bytes(&file, &copy, &err);
    assert_non_null(gguf);
    assert_int_equal(gguf_version(gguf), 3);
    assert_int_equal(gguf_file_bytes(gguf), file.len);
    assert_int_equal(gguf_read_u64(gguf, "a.u32", &whole, &err), 0);
    assert_int_equal(whole, 7);
    assert_int_equal(gguf_read_f64(gguf, "a.f32", &real, &err), 0);
    assert_true(real == 1.5);
    assert_int_equal(gguf_read_bool(gguf, "a.bool", &flag, &err), 0);
    assert_true(flag);
    assert_int_equal(gguf_read_string(gguf, "general.architecture", &text, &err), 0);
    assert_int_equal(text.len, 5);
    assert_memory_equal(text.data, "llama", 5);
    assert_int_equal(gguf_array_len(gguf, "a.texts", GGUF_STRING, &whole, &err), 0);
    assert_int_equal(whole, 3);
    assert_int_equal(gguf_array_string(gguf, "a.texts", 1).len, 0);
    assert_memory_equal(gguf_array_string(gguf, "a.texts", 2).data, "three", 5);
    assert_int_equal(gguf_array_len(gguf, "a.numbers", GGUF_I32, &whole, &err), 0);
    assert_int_equal(((const int8_t *)gguf_array_data(gguf, "a.numbers"))[4], -6);
    assert_int_equal(gguf_tensor_count(gguf), 2);
    assert_int_equal(gguf_find_tensor(gguf, "first")->dims[1], 2);
    assert_int_equal(gguf_find_tensor(gguf, "second")->size_bytes, 34);
    assert_true(((const float *)gguf_find_tensor(gguf, "first")->data)[2] == 3.0f);
    assert_null(gguf_find_tensor(gguf, "third"));
    gguf_free(gguf);
    writer_release(&writer);
}

static void a_key_of_another_type_or_none_is_refused_by_name(void **state)
{
    AUTO_FREE void *copy = NULL;
    AUTO_BUF struct buf file = BUF_INIT(FILE_MAX_BYTES);
    struct err err = ERR_INIT;
    struct gguf_writer writer;
    struct gguf *gguf = NULL;
    struct gguf_string text;
    uint64_t whole = 0;
    double real = 0.0;
    bool flag = false;

    build_good(&writer);
    writer_key(&writer, "a.negative", GGUF_I8);
    writer_check(buf_add_byte(&writer.entries, -1));
    writer_finish(&writer, &file);
    gguf = open_bytes(&file, &copy, &err);
    assert_non_null(gguf);
    assert_int_equal(gguf_read_u64(gguf, "nothing", &whole, &err), -1);
    assert_non_null(strstr(err.message, "nothing"));
    assert_int_equal(gguf_read_u64(gguf, "a.f32", &whole, &err), -1);
    assert_string_equal(err.message, "a.f32 is of type f32, not an integer");
    assert_int_equal(gguf_read_u64(gguf, "a.negative", &whole, &err), -1);
    assert_string_equal(err.message, "a.negative is negative");
    assert_int_equal(gguf_read_f64(gguf, "a.u32", &real, &err), -1);
    assert_int_equal(gguf_read_bool(gguf, "a.u32", &flag, &err), -1);
    assert_int_equal(gguf_read_string(gguf, "a.u32", &text, &err), -1);
    assert_int_equal(gguf_array_len(gguf, "a.texts", GGUF_I32, &whole, &err), -1);
    assert_string_equal(err.message, "a.texts is an array of string, not of i32");
    gguf_free(gguf);
    writer_release(&writer);
}

/* ---- a file cut anywhere ---- */

static void a_file_cut_at_any_byte_is_refused(void **state)
{
    AUTO_BUF struct buf file = BUF_INIT(FILE_MAX_BYTES);
    struct gguf_writer writer;
    size_t whole = 0;

    build_good(&writer);
    writer_finish(&writer, &file);
    whole = file.len;
    for (file.len = 0; file.len < whole; file.len++)
        expect_refused(&file, "");
    writer_release(&writer);
}

/* Any byte may be anything: the file is read or refused, and nothing outside it is touched. */
static void a_file_with_any_byte_changed_is_read_or_refused(void **state)
{
    static const uint8_t VALUES[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    AUTO_BUF struct buf file = BUF_INIT(FILE_MAX_BYTES);
    struct gguf_writer writer;

    build_good(&writer);
    writer_finish(&writer, &file);
    for (size_t at = 0; at < file.len; at++) {
        char before = file.data[at];

        for (size_t i = 0; i < ARRAY_COUNT(VALUES); i++) {
            AUTO_FREE void *copy = NULL;
            struct err err = ERR_INIT;

            file.data[at] = (char)VALUES[i];
            gguf_free(open_bytes(&file, &copy, &err));
        }
        file.data[at] = before;
    }
    writer_release(&writer);
}

/* ---- hostile headers ---- */

static void the_first_bytes_must_be_those_of_a_version_we_read(void **state)
{
    static const struct {
        size_t at;
        uint32_t value;
        const char *reason;
    } CASES[] = {
        {0, 0x46554746, "not a GGUF file"},
        {4, 0, "GGUF version 0 is not supported"},
        {4, 1, "GGUF version 1 is not supported"},
        {4, 4, "GGUF version 4 is not supported"},
        {4, 3u << 24, "a big-endian GGUF file is not supported"},
        {8, UINT32_MAX, "tensors, more than it can hold"},
        {12, UINT32_MAX, "tensors, more than it can hold"},
        {16, UINT32_MAX, "metadata keys, more than it can hold"},
        {20, 0x80000000, "metadata keys, more than it can hold"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        AUTO_BUF struct buf file = BUF_INIT(FILE_MAX_BYTES);
        struct gguf_writer writer;

        build_good(&writer);
        writer_finish(&writer, &file);
        memcpy(file.data + CASES[i].at, &CASES[i].value, sizeof(CASES[i].value));
        expect_refused(&file, CASES[i].reason);
        writer_release(&writer);
    }
}

static void version_2_is_read_as_version_3(void **state)
{
    AUTO_FREE void *copy = NULL;
    AUTO_BUF struct buf file = BUF_INIT(FILE_MAX_BYTES);
    struct err err = ERR_INIT;
    struct gguf_writer writer;
    struct gguf *gguf = NULL;

    build_good(&writer);
    writer_finish(&writer, &file);
    file.data[4] = 2;
    gguf = open_bytes(&file, &copy, &err);
    assert_non_null(gguf);
    assert_int_equal(gguf_version(gguf), 2);
    gguf_free(gguf);
    writer_release(&writer);
}

/* ---- hostile metadata: each adds one bad entry to a good file ---- */

static void bad_key_empty(struct gguf_writer *writer)
{
    writer_add_u32(writer, "", 1);
}

static void bad_key_control(struct gguf_writer *writer)
{
    writer_add_u32(writer, "a\033[2Jb", 1);
}

static void bad_key_huge(struct gguf_writer *writer)
{
    writer_u64(&writer->entries, UINT64_MAX);
    writer_u32(&writer->entries, GGUF_U32);
    writer_u64(&writer->entries, 0);
    writer->entry_count++;
}

static void bad_key_twice(struct gguf_writer *writer)
{
    writer_add_u32(writer, "a.u32", 8);
}

static void bad_type(struct gguf_writer *writer)
{
    writer_key(writer, "a.odd", (enum gguf_type)GGUF_TYPE_COUNT);
    writer_u64(&writer->entries, 0);
}

static void bad_bool(struct gguf_writer *writer)
{
    writer_key(writer, "a.maybe", GGUF_BOOL);
    writer_check(buf_add_byte(&writer->entries, 2));
}

static void bad_string_len(struct gguf_writer *writer)
{
    writer_key(writer, "a.long", GGUF_STRING);
    writer_u64(&writer->entries, UINT64_MAX - 7);
}

static void bad_array_count(struct gguf_writer *writer)
{
    writer_add_array(writer, "a.many", GGUF_U64, (uint64_t)1 << 61);
}

static void bad_array_beyond(struct gguf_writer *writer)
{
    writer_add_array(writer, "a.much", GGUF_U64, 1024 * 1024);
}

static void bad_array_texts(struct gguf_writer *writer)
{
    writer_add_array(writer, "a.words", GGUF_STRING, 1024 * 1024);
}

static void bad_array_type(struct gguf_writer *writer)
{
    writer_add_array(writer, "a.what", (enum gguf_type)99, 1);
}

static void bad_array_depth(struct gguf_writer *writer)
{
    writer_add_array(writer, "a.deep", GGUF_ARRAY, 1);
    for (int i = 0; i < 100; i++) {
        writer_u32(&writer->entries, GGUF_ARRAY);
        writer_u64(&writer->entries, 1);
    }
}

static void bad_alignment(struct gguf_writer *writer)
{
    writer_add_u32(writer, "general.alignment", 24);
}

static void bad_alignment_zero(struct gguf_writer *writer)
{
    writer_add_u32(writer, "general.alignment", 0);
}

static void bad_alignment_huge(struct gguf_writer *writer)
{
    writer_add_u32(writer, "general.alignment", 1u << 31);
}

static void bad_alignment_type(struct gguf_writer *writer)
{
    writer_add_text(writer, "general.alignment", "32");
}

/* ---- hostile tensors ---- */

static void add_info(struct gguf_writer *writer, const char *name, uint32_t dim_count,
                     const uint64_t *dims, uint32_t type, uint64_t offset)
{
    writer_text(&writer->infos, name, strlen(name));
    writer_u32(&writer->infos, dim_count);
    for (uint32_t i = 0; i < dim_count && i < 8; i++)
        writer_u64(&writer->infos, dims[i]);
    writer_u32(&writer->infos, type);
    writer_u64(&writer->infos, offset);
    writer->tensor_count++;
}

static void bad_dims_none(struct gguf_writer *writer)
{
    add_info(writer, "bad", 0, NULL, QUANT_F32, 128);
}

static void bad_dims_five(struct gguf_writer *writer)
{
    add_info(writer, "bad", 5, (uint64_t[]){1, 1, 1, 1, 1}, QUANT_F32, 128);
}

static void bad_dims_zero(struct gguf_writer *writer)
{
    add_info(writer, "bad", 2, (uint64_t[]){8, 0}, QUANT_F32, 128);
}

static void bad_dims_overflow(struct gguf_writer *writer)
{
    add_info(writer, "bad", 2, (uint64_t[]){(uint64_t)1 << 33, (uint64_t)1 << 33}, QUANT_F32, 128);
}

static void bad_size_overflow(struct gguf_writer *writer)
{
    add_info(writer, "bad", 1, (uint64_t[]){(uint64_t)1 << 62}, QUANT_F32, 128);
}

static void bad_row(struct gguf_writer *writer)
{
    add_info(writer, "bad", 1, (uint64_t[]){33}, QUANT_Q8_0, 128);
}

static void bad_row_k(struct gguf_writer *writer)
{
    add_info(writer, "bad", 1, (uint64_t[]){896}, QUANT_Q4_K, 128);
}

static void bad_tensor_type(struct gguf_writer *writer)
{
    add_info(writer, "bad", 1, (uint64_t[]){32}, 4711, 128);
}

static void bad_tensor_unread(struct gguf_writer *writer)
{
    add_info(writer, "blk.0.attn_q.weight", 1, (uint64_t[]){256}, QUANT_IQ2_XXS, 128);
}

static void bad_tensor_removed(struct gguf_writer *writer)
{
    add_info(writer, "bad", 1, (uint64_t[]){32}, QUANT_Q4_0_4_4_REMOVED, 128);
}

static void bad_offset_odd(struct gguf_writer *writer)
{
    add_info(writer, "bad", 1, (uint64_t[]){1}, QUANT_F32, 129);
}

static void bad_offset_far(struct gguf_writer *writer)
{
    add_info(writer, "bad", 1, (uint64_t[]){8}, QUANT_F32, 4096);
}

static void bad_offset_wraps(struct gguf_writer *writer)
{
    add_info(writer, "bad", 1, (uint64_t[]){8}, QUANT_F32, UINT64_MAX - 31);
}

static void bad_overlap(struct gguf_writer *writer)
{
    add_info(writer, "bad", 1, (uint64_t[]){8}, QUANT_F32, 32);
}

static void bad_name_twice(struct gguf_writer *writer)
{
    add_info(writer, "first", 1, (uint64_t[]){1}, QUANT_F32, 128);
}

static void bad_name_long(struct gguf_writer *writer)
{
    add_info(writer, "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm", 1,
             (uint64_t[]){1}, QUANT_F32, 128);
}

static void one_wrong_thing_is_refused_with_its_reason(void **state)
{
    static const struct {
        void (*spoil)(struct gguf_writer *writer);
        const char *reason;
    } CASES[] = {
        {bad_key_empty, "is empty"},
        {bad_key_control, "is not printable ASCII"},
        {bad_key_huge, "more than 65535"},
        {bad_key_twice, "the key a.u32 is there twice"},
        {bad_type, "a.odd has the unknown type 13"},
        {bad_bool, "a.maybe holds a bool of value 2"},
        {bad_string_len, "a.long"},
        {bad_array_count, "a.many has 2305843009213693952 elements"},
        {bad_array_beyond, "a.much: the file is cut"},
        {bad_array_texts, "a.words has 1048576 strings; the file has no room"},
        {bad_array_type, "a.what has the unknown type 99"},
        {bad_array_depth, "a.deep nests arrays deeper than 4"},
        {bad_alignment, "general.alignment is 24, not a power of two"},
        {bad_alignment_zero, "general.alignment is 0"},
        {bad_alignment_huge, "general.alignment is 2147483648"},
        {bad_alignment_type, "general.alignment is of type string"},
        {bad_dims_none, "bad has 0 dimensions"},
        {bad_dims_five, "bad has 5 dimensions"},
        {bad_dims_zero, "bad has impossible dimensions"},
        {bad_dims_overflow, "bad has impossible dimensions"},
        {bad_size_overflow, "bad has an impossible size"},
        {bad_row, "bad has rows of 33, not a multiple of the 32 of Q8_0"},
        {bad_row_k, "bad has rows of 896, not a multiple of the 256 of Q4_K"},
        {bad_tensor_type, "tensor type 4711 of bad is unknown"},
        {bad_tensor_unread,
         "tensor type IQ2_XXS of blk.0.attn_q.weight is not supported by this version"},
        {bad_tensor_removed, "tensor type Q4_0_4_4_REMOVED of bad is not supported"},
        {bad_offset_odd, "bad begins at 129, not a multiple of 32"},
        {bad_offset_far, "bad lies beyond the end of the file"},
        {bad_offset_wraps, "bad lies beyond the end of the file"},
        {bad_overlap, "overlap"},
        {bad_name_twice, "the tensor first is there twice"},
        {bad_name_long, "has 65 bytes, more than 64"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        AUTO_BUF struct buf file = BUF_INIT(FILE_MAX_BYTES);
        struct gguf_writer writer;

        build_good(&writer);
        CASES[i].spoil(&writer);
        writer_check(buf_add(&writer.data, (char[64]){0}, 64)); /* room for what begins at 128 */
        writer_finish(&writer, &file);
        expect_refused(&file, CASES[i].reason);
        writer_release(&writer);
    }
}

static void nested_arrays_within_the_limit_are_passed_over(void **state)
{
    AUTO_FREE void *copy = NULL;
    AUTO_BUF struct buf file = BUF_INIT(FILE_MAX_BYTES);
    struct err err = ERR_INIT;
    struct gguf_writer writer;
    struct gguf *gguf = NULL;

    build_good(&writer);
    writer_add_array(&writer, "a.nested", GGUF_ARRAY, 2);
    writer_u32(&writer.entries, GGUF_U32);
    writer_u64(&writer.entries, 1);
    writer_u32(&writer.entries, 5);
    writer_u32(&writer.entries, GGUF_STRING);
    writer_u64(&writer.entries, 1);
    writer_text(&writer.entries, "x", 1);
    writer_add_u32(&writer, "a.after", 9);
    writer_finish(&writer, &file);
    gguf = open_bytes(&file, &copy, &err);
    assert_non_null(gguf);
    assert_true(gguf_has(gguf, "a.after"));
    gguf_free(gguf);
    writer_release(&writer);
}

/* ---- paths ---- */

static void what_is_no_model_file_is_refused_without_waiting(void **state)
{
    char folder[] = "/tmp/rbee-gguf-XXXXXX";
    char path[sizeof(folder) + 8];
    struct err err = ERR_INIT;

    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/file", folder);
    assert_null(gguf_open(path, &err));
    assert_int_equal(err.kind, ERR_NO_FILE);
    assert_null(gguf_open(folder, &err));
    assert_int_equal(err.kind, ERR_INVALID_MODEL);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_null(gguf_open(path, &err));
    assert_int_equal(err.kind, ERR_INVALID_MODEL);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    assert_null(gguf_open(path, &err));
    assert_string_equal(err.message, "the file is empty");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void a_file_changed_after_it_was_opened_is_noticed(void **state)
{
    char path[] = "/tmp/rbee-gguf-XXXXXX";
    AUTO_CLOSE int fd = mkstemp(path);
    AUTO_BUF struct buf file = BUF_INIT(FILE_MAX_BYTES);
    struct err err = ERR_INIT;
    struct gguf_writer writer;
    struct gguf *gguf = NULL;

    build_good(&writer);
    writer_finish(&writer, &file);
    assert_int_equal(write(fd, file.data, file.len), file.len);
    gguf = gguf_open(path, &err);
    assert_non_null(gguf);
    assert_int_equal(gguf_check_same(gguf, &err), 0);
    assert_int_equal(ftruncate(fd, 100), 0);
    assert_int_equal(gguf_check_same(gguf, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID_MODEL);
    gguf_free(gguf);
    writer_release(&writer);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_gives_back_what_was_written),
        cmocka_unit_test(a_key_of_another_type_or_none_is_refused_by_name),
        cmocka_unit_test(a_file_cut_at_any_byte_is_refused),
        cmocka_unit_test(a_file_with_any_byte_changed_is_read_or_refused),
        cmocka_unit_test(the_first_bytes_must_be_those_of_a_version_we_read),
        cmocka_unit_test(version_2_is_read_as_version_3),
        cmocka_unit_test(one_wrong_thing_is_refused_with_its_reason),
        cmocka_unit_test(nested_arrays_within_the_limit_are_passed_over),
        cmocka_unit_test(what_is_no_model_file_is_refused_without_waiting),
        cmocka_unit_test(a_file_changed_after_it_was_opened_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
