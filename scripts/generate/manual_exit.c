/* Owns rbee-exit(7): cli/exit_codes.def says what a code means, common/errors.def who ends with it.
 */
#include "common/attr.h"
#include "common/err.h"
#include "scripts/generate/manual.h"
#include "scripts/generate/mdoc.h"

static const struct {
    int code;
    const char *meaning;
} EXIT_CODES[] = {
#define EXIT_CODE(code_, meaning_) {.code = code_, .meaning = meaning_},
#include "cli/exit_codes.def"
#undef EXIT_CODE
};

static bool is_described(int code)
{
    for (size_t i = 0; i < ARRAY_COUNT(EXIT_CODES); i++) {
        if (EXIT_CODES[i].code == code)
            return true;
    }
    return false;
}

static int check_all_described(struct err *err)
{
    for (int kind = ERR_NONE + 1; kind < ERR_KIND_COUNT; kind++) {
        int code = err_exit_code((enum err_kind)kind);

        if (!is_described(code))
            return err_set(err, ERR_INTERNAL, "exit code %d of %s has no row in cli/exit_codes.def",
                           code, err_wire_code((enum err_kind)kind));
    }
    return 0;
}

static void add_codes(struct mdoc *page)
{
    mdoc_line(page, ".Bl -tag -width 1234");
    for (size_t i = 0; i < ARRAY_COUNT(EXIT_CODES); i++) {
        mdoc_line(page, ".It %d", EXIT_CODES[i].code);
        mdoc_text(page, EXIT_CODES[i].meaning);
    }
    mdoc_line(page, ".El");
}

static void add_errors(struct mdoc *page)
{
    mdoc_line(page, ".Bl -column UNSUPPORTED_ENCODING HTTP code again");
    mdoc_line(page, ".It Sy error Ta Sy HTTP Ta Sy exit Ta Sy again");
    for (int i = ERR_NONE + 1; i < ERR_KIND_COUNT; i++) {
        enum err_kind kind = (enum err_kind)i;

        mdoc_line(page, ".It %s Ta %d Ta %d Ta %s", err_wire_code(kind), err_http_status(kind),
                  err_exit_code(kind), err_is_retryable(kind) ? "yes" : "no");
    }
    mdoc_line(page, ".El");
}

int manual_exit_generate(const char *folder, struct err *err)
{
    struct mdoc page;

    if (check_all_described(err) < 0 ||
        mdoc_begin(&page, folder, "rbee-exit", "7", "exit codes and errors of rbee", err) < 0)
        return -1;
    mdoc_line(&page, ".Sh DESCRIPTION");
    mdoc_text(&page, "A script decides by the exit code of `rbee` what to do next. The codes are "
                     "those of `sysexits.h` where it has one that fits.");
    add_codes(&page);
    mdoc_line(&page, ".Ss Errors");
    mdoc_text(&page,
              "Over HTTP, and with `--json` on stdout, a failure is an object whose `error.code` "
              "names it: `{\"error\":{\"code\":\"CIRCUIT_OPEN\",\"message\":\"...\"}}`. These are "
              "all of them, with the status of the reply, the exit code, and whether the same "
              "request may succeed later without anybody doing anything about it.");
    add_errors(&page);
    mdoc_line(&page, ".Sh EXAMPLES");
    mdoc_sentence(&page, "ask again while that may help");
    mdoc_line(&page, ".Bd -literal -offset indent");
    mdoc_literal(&page, "rbee infer \"hello\" </dev/null; code=$?");
    mdoc_literal(&page, "case $code in");
    mdoc_literal(&page, "0) ;;");
    mdoc_literal(&page, "75) sleep 30 && exec \"$0\" \"$@\" ;;");
    mdoc_literal(&page, "*) exit \"$code\" ;;");
    mdoc_literal(&page, "esac");
    mdoc_line(&page, ".Ed\n.Sh SEE ALSO\n.Xr rbee 1 ,\n.Xr rbee-status 1");
    return mdoc_end(&page, err);
}
