/* Owns the choice of rows by an expression. Must not know what rows are. */
#include "tui/filter.h"

#include <stdio.h>
#include <string.h>

void filter_release(struct filter *filter)
{
    if (filter->has_regex)
        regfree(&filter->regex);
    memset(filter, 0, sizeof(*filter));
}

int filter_set(struct filter *filter, const char *text, struct err *err)
{
    struct filter new = {.is_inverse = text[0] == '!'};
    const char *expression = text + new.is_inverse;
    int status = 0;

    (void)snprintf(new.text, sizeof(new.text), "%s", text); /* the prompt takes no more */
    if (expression[0] != '\0') {
        status = regcomp(&new.regex, expression, REG_EXTENDED | REG_ICASE | REG_NOSUB);
        if (status != 0) {
            char reason[FILTER_MAX_BYTES];

            (void)regerror(status, &new.regex, reason, sizeof(reason));
            return err_set(err, ERR_USAGE, "%s", reason);
        }
        new.has_regex = true;
    }
    filter_release(filter);
    *filter = new;
    return 0;
}

bool filter_lets_pass(const struct filter *filter, const char *row)
{
    if (!filter->has_regex)
        return true;
    return (regexec(&filter->regex, row, 0, NULL, 0) == 0) != filter->is_inverse;
}
