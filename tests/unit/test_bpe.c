/* Byte pair encoding: against a slow encoder that does what the definition says, one pair at a
 * time. */
#include "common/mem.h"
#include "hip/text/bpe.h"
#include "hip/text/byte_text.h"
#include "tests/vocab_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { TOKEN_MAX = 1 << 20 };

static void identity(uint32_t *byte_tokens)
{
    for (uint32_t i = 0; i < 256; i++)
        byte_tokens[i] = i;
}

/* The definition: as long as any pair can be joined, join the one of lowest rank, the leftmost of
 * these. */
static size_t encode_slowly(const struct bpe_merge *merges, size_t merge_count, uint32_t *tokens,
                            size_t count)
{
    for (size_t rank = 0; rank < merge_count; rank++) {
        for (size_t i = 0; i + 1 < count; i++) {
            if (tokens[i] != merges[rank].left || tokens[i + 1] != merges[rank].right)
                continue;
            tokens[i] = merges[rank].result;
            memmove(&tokens[i + 1], &tokens[i + 2], (count - i - 2) * sizeof(*tokens));
            count--;
            rank = SIZE_MAX; /* begin again with the lowest rank */
            break;
        }
    }
    return count;
}

/* Pairs of what there is so far, over an alphabet of four letters. */
static size_t make_merges(struct bpe_merge *merges, size_t count, uint64_t *seed)
{
    uint32_t symbols[4 + 64] = {'a', 'b', 'c', 'd'};
    size_t symbol_count = 4;

    for (size_t i = 0; i < count; i++) {
        merges[i].left = symbols[tiny_next(seed) % symbol_count];
        merges[i].right = symbols[tiny_next(seed) % symbol_count];
        merges[i].result = (uint32_t)(256 + i);
        symbols[symbol_count++] = merges[i].result;
    }
    return count;
}

/* For any merges and any word, the fast encoder and the definition agree. */
static void agrees_with_the_definition(void **state)
{
    uint64_t seed = 1;

    for (int round = 0; round < 2000; round++) {
        struct bpe_merge merges[64];
        size_t merge_count = make_merges(merges, tiny_next(&seed) % 64, &seed);
        uint32_t byte_tokens[256];
        uint32_t expected[48];
        char word[48];
        size_t len = tiny_next(&seed) % sizeof(word);
        size_t expected_count = 0;
        struct joining work;
        struct token_list tokens;
        struct err err = ERR_INIT;
        struct bpe *bpe = NULL;

        /* The first of two merges of one pair counts: later ones can never be used. */
        identity(byte_tokens);
        for (size_t i = 0; i < len; i++) {
            word[i] = (char)('a' + tiny_next(&seed) % 4);
            expected[i] = (uint8_t)word[i];
        }
        expected_count = encode_slowly(merges, merge_count, expected, len);
        bpe = bpe_new(byte_tokens, merges, merge_count, &err);
        assert_non_null(bpe);
        joining_init(&work);
        token_list_init(&tokens, TOKEN_MAX);
        assert_int_equal(bpe_encode(bpe, &work, word, len, &tokens, &err), 0);
        assert_int_equal(tokens.count, expected_count);
        if (expected_count > 0)
            assert_memory_equal(tokens.ids, expected, expected_count * sizeof(*expected));
        token_list_release(&tokens);
        joining_release(&work);
        bpe_free(bpe);
    }
}

/* A byte without a token is left out and keeps its neighbours apart. */
static void byte_without_token(void **state)
{
    struct bpe_merge merges[] = {{'a', 'a', 256}};
    uint32_t byte_tokens[256];
    struct joining work;
    struct token_list tokens;
    struct err err = ERR_INIT;
    struct bpe *bpe = NULL;

    identity(byte_tokens);
    byte_tokens['x'] = VOCAB_NONE;
    bpe = bpe_new(byte_tokens, merges, 1, &err);
    assert_non_null(bpe);
    joining_init(&work);
    token_list_init(&tokens, TOKEN_MAX);
    assert_int_equal(bpe_encode(bpe, &work, "axaaxxa", 7, &tokens, &err), 0);
    assert_int_equal(tokens.count, 3);
    assert_int_equal(tokens.ids[0], 'a');
    assert_int_equal(tokens.ids[1], 256);
    assert_int_equal(tokens.ids[2], 'a');
    token_list_release(&tokens);
    joining_release(&work);
    bpe_free(bpe);
}

/* A word longer than the limit is encoded in parts: nothing is lost, and the memory for it stays
 * within that of one part. */
static void long_word_in_parts(void **state)
{
    enum { LEN = JOINING_MAX_BYTES * 2 + 3 };
    struct bpe_merge merges[] = {{'a', 'a', 256}, {256, 256, 257}};
    AUTO_FREE char *word = xmalloc(LEN);
    uint32_t byte_tokens[256];
    struct joining work;
    struct token_list tokens;
    struct err err = ERR_INIT;
    struct bpe *bpe = NULL;
    size_t covered = 0;

    memset(word, 'a', LEN);
    identity(byte_tokens);
    bpe = bpe_new(byte_tokens, merges, 2, &err);
    joining_init(&work);
    token_list_init(&tokens, TOKEN_MAX);
    assert_int_equal(bpe_encode(bpe, &work, word, LEN, &tokens, &err), 0);
    for (size_t i = 0; i < tokens.count; i++)
        covered += tokens.ids[i] == 257 ? 4 : tokens.ids[i] == 256 ? 2 : 1;
    assert_int_equal(covered, LEN);
    assert_true(work.capacity <= JOINING_MAX_BYTES);
    token_list_release(&tokens);
    joining_release(&work);
    bpe_free(bpe);
}

/* A list that is full is a prompt that is too long, and keeps what it has. */
static void full_list(void **state)
{
    struct token_list tokens;
    struct err err = ERR_INIT;

    token_list_init(&tokens, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(token_list_add(&tokens, i, &err), 0);
    assert_int_equal(token_list_add(&tokens, 3, &err), -1);
    assert_int_equal(err.kind, ERR_PROMPT_TOO_LONG);
    assert_int_equal(tokens.count, 3);
    token_list_release(&tokens);
}

/* Every byte has a character of its own, printable, and the way back gives the byte; a space is
 * U+0120. */
static void byte_text(void **state)
{
    char space[BYTE_TEXT_MAX_BYTES];

    for (int byte = 0; byte < 256; byte++) {
        char text[BYTE_TEXT_MAX_BYTES];
        char back[BYTE_TEXT_MAX_BYTES];
        size_t len = byte_text_encode((uint8_t)byte, text);
        size_t back_len = 0;

        assert_true(byte_text_decode(text, len, back, &back_len));
        assert_int_equal(back_len, 1);
        assert_int_equal((uint8_t)back[0], byte);
        assert_true((uint8_t)text[0] > ' ');
    }
    assert_int_equal(byte_text_encode(' ', space), 2);
    assert_memory_equal(space, "\xc4\xa0", 2);
}

/* Characters that stand for no byte, and bytes that are no character, are refused. */
static void no_byte_text(void **state)
{
    static const char *const TEXTS[] = {" ", "\xc2\xa0", "\xc5\x84", "\xe4\xb8\x80", "a\xff", "\n"};
    char out[8];
    size_t len = 0;

    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++)
        assert_false(byte_text_decode(TEXTS[i], strlen(TEXTS[i]), out, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_definition),
        cmocka_unit_test(byte_without_token),
        cmocka_unit_test(long_word_in_parts),
        cmocka_unit_test(full_list),
        cmocka_unit_test(byte_text),
        cmocka_unit_test(no_byte_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
