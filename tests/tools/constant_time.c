/* Whether the time of a comparison can depend on a secret, under valgrind: the secret is marked as
 * memory nobody has written, and valgrind complains about each branch and each address that depends
 * on such memory (the method of ctgrind).
 *
 *   constant_time tokens   as rbeed compares a token with those it takes
 *   constant_time hashes   as a worker does, behind the hash
 *   constant_time leaky    with memcmp(): valgrind must complain, or the others prove nothing */
#include "common/token.h"
#include "supervisor/tokens.h"

#include <stdio.h>
#include <string.h>
#include <valgrind/memcheck.h>

static const char *const SHOWN = "0123456789abcdef0123456789abcdef";

/* Whether they fit is told to everybody, so it is a secret no more. */
static int is_equal(int result)
{
    VALGRIND_MAKE_MEM_DEFINED(&result, sizeof(result));
    return result != 0;
}

static int compare_tokens(void)
{
    struct tokens tokens = {0};
    char fingerprint[TOKEN_FINGERPRINT_BYTES];
    struct token_known *admin = &tokens.of[TOKEN_ROLE_ADMIN];
    struct token_known *infer = &tokens.of[TOKEN_ROLE_INFER];

    token_hash(SHOWN, &admin->hash);
    token_hash("something else", &infer->hash);
    admin->len = infer->len = strlen(SHOWN); /* how long they are is no secret */
    VALGRIND_MAKE_MEM_UNDEFINED(&admin->hash, sizeof(admin->hash));
    VALGRIND_MAKE_MEM_UNDEFINED(&infer->hash, sizeof(infer->hash));
    return is_equal(tokens_match(&tokens, SHOWN, fingerprint) == 1u << TOKEN_ROLE_ADMIN) &&
           is_equal(tokens_match(&tokens, "a wrong one", fingerprint) == 0);
}

static int compare_hashes(int is_leaky)
{
    struct token_hash a;
    struct token_hash b;

    token_hash(SHOWN, &a);
    token_hash(SHOWN, &b);
    VALGRIND_MAKE_MEM_UNDEFINED(&a, sizeof(a));
    VALGRIND_MAKE_MEM_UNDEFINED(&b, sizeof(b));
    return is_leaky ? is_equal(memcmp(&a, &b, sizeof(a)) == 0) : is_equal(token_hash_equal(&a, &b));
}

int main(int argc, char **argv)
{
    const char *what = argc == 2 ? argv[1] : "";
    int is_right = 0;

    token_init();
    if (strcmp(what, "tokens") == 0)
        is_right = compare_tokens();
    else if (strcmp(what, "hashes") == 0 || strcmp(what, "leaky") == 0)
        is_right = compare_hashes(strcmp(what, "leaky") == 0);
    return puts(is_right ? "right" : "wrong") < 0 || !is_right;
}
