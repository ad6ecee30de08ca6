/* Owns the tables of views and columns. Must not know how they are drawn. */
#include "tui/view.h"

#include "common/attr.h"

#include <assert.h>

static const struct view VIEWS[VIEW_COUNT] = {
#define VIEW(id, word, tab, record, rows) {word, tab, RECORD_##record, #rows},
#include "tui/views.def"
#undef VIEW
};

static const struct {
    enum view_id view;
    enum record_kind record;
    const char *field;
    int rank;
    int width;
} COLUMNS[] = {
#define COLUMN(view, record, field, rank, width)                                                   \
    {VIEW_##view, RECORD_##record, #field, rank, width},
#include "tui/columns.def"
#undef COLUMN
};

const struct view *view_get(enum view_id id)
{
    return &VIEWS[id];
}

size_t view_columns(enum view_id id, struct view_column out[VIEW_COLUMN_MAX_COUNT])
{
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_COUNT(COLUMNS); i++) {
        if (COLUMNS[i].view != id)
            continue;
        assert(count < VIEW_COLUMN_MAX_COUNT);
        out[count++] =
            (struct view_column){.field = record_field(COLUMNS[i].record, COLUMNS[i].field),
                                 .rank = COLUMNS[i].rank,
                                 .width = COLUMNS[i].width};
    }
    return count;
}
