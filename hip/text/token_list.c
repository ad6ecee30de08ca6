/* Owns the growing list of token ids with its maximum. Must not know where the tokens come from. */
#include "hip/text/vocab.h"

#include <stdlib.h>
#include <string.h>

enum { TOKEN_LIST_FIRST_CAPACITY = 64 };

void token_list_init(struct token_list *list, size_t max)
{
    memset(list, 0, sizeof(*list));
    list->max = max;
}

void token_list_release(struct token_list *list)
{
    free(list->ids);
    token_list_init(list, list->max);
}

static int token_list_grow(struct token_list *list, struct err *err)
{
    size_t capacity = list->capacity == 0 ? TOKEN_LIST_FIRST_CAPACITY : list->capacity * 2;
    uint32_t *ids = NULL;

    if (capacity > list->max)
        capacity = list->max;
    ids = reallocarray(list->ids, capacity, sizeof(*ids));
    if (ids == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu tokens", capacity);
    list->ids = ids;
    list->capacity = capacity;
    return 0;
}

int token_list_add(struct token_list *list, uint32_t id, struct err *err)
{
    if (list->count == list->max)
        return err_set(err, ERR_PROMPT_TOO_LONG, "the prompt has more than %zu tokens", list->max);
    if (list->count == list->capacity && token_list_grow(list, err) != 0)
        return -1;
    list->ids[list->count++] = id;
    return 0;
}
