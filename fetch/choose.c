/* Owns the choice among the files of a repository. Asks nobody. */
#include "fetch/choose.h"

#include "common/mem.h"
#include "common/split_name.h"
#include "fetch/file_name.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Small and nearly as good as the original first, then what is better and larger, then what is
 * smaller and worse. */
static const char *const PREFERRED[] = {
    "Q4_K_M", "Q8_0", "Q5_K_M", "Q6_K",   "Q4_K_S", "Q4_0", "Q4_1", "IQ4_NL", "IQ4_XS", "Q5_K_S",
    "Q5_0",   "Q5_1", "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K", "BF16", "F16",    "F32",
};

/* Beside a model, but none. */
static const char *const NO_MODELS[] = {"mmproj", "imatrix"};

enum { CHOOSE_NAMES_MAX_COUNT = 12 }; /* in a message; more are not read by anyone */

void hub_files_release(struct hub_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->files[i].path);
    free(files->files);
    *files = (struct hub_files){.files = NULL};
}

/* Whether WORD is in NAME, with a dot, a dash or an end on both its sides; there may be some in it
 * as well ("UD-Q4_K_XL"). */
static bool has_word(const char *name, const char *word)
{
    static const char BREAKS[] = "-.";
    const char *at = name;

    while ((at = strcasestr(at, word)) != NULL) {
        bool begins = at == name || strchr(BREAKS, at[-1]) != NULL;

        if (begins && strchr(BREAKS, at[strlen(word)]) != NULL) /* it finds the end as well */
            return true;
        at++;
    }
    return false;
}

static bool is_model(const char *path)
{
    const char *name = file_path_last(path);

    for (size_t i = 0; i < ARRAY_COUNT(NO_MODELS); i++) {
        if (strncasecmp(name, NO_MODELS[i], strlen(NO_MODELS[i])) == 0)
            return false;
    }
    return split_name_is_gguf(name);
}

/* One entry a model: its file, or its first part. */
static bool begins_model(const char *path)
{
    struct split_name split;

    return is_model(path) && (!split_name_read(path, &split) || split.index == 1);
}

static const struct hub_file *find_file(const struct hub_files *files, const char *path)
{
    for (size_t i = 0; i < files->count; i++) {
        if (strcmp(files->files[i].path, path) == 0)
            return &files->files[i];
    }
    return NULL;
}

/* ", "-separated names of what can be asked for, at the end of TEXT. */
static void list_models(const struct hub_files *files, char *text, size_t size)
{
    size_t count = 0;

    for (size_t i = 0; i < files->count; i++) {
        size_t len = strlen(text);

        if (!begins_model(files->files[i].path))
            continue;
        if (count++ == CHOOSE_NAMES_MAX_COUNT)
            break;
        (void)snprintf(text + len, size - len, "%s%s", count > 1 ? ", " : "",
                       file_path_last(files->files[i].path));
    }
}

static int refuse(const struct hub_files *files, enum err_kind kind, const char *what,
                  struct err *err)
{
    char names[ERR_MESSAGE_MAX_BYTES] = "";

    list_models(files, names, sizeof(names));
    if (names[0] == '\0')
        return err_set(err, ERR_MODEL_NOT_FOUND, "the repository has no .gguf file");
    return err_set(err, kind, "%s; it has: %s", what, names);
}

/* The parts of the model that FIRST begins. */
static int take_parts(const struct hub_files *files, const struct hub_file *first,
                      struct choice *out, struct err *err)
{
    struct split_name split = {.count = 1};
    const struct hub_file **parts = NULL;

    (void)split_name_read(first->path, &split); /* else it is one file */
    parts = xcalloc(split.count, sizeof(struct hub_file *));
    parts[0] = first;
    for (unsigned i = 1; split.count > 1 && i <= split.count; i++) {
        AUTO_FREE char *path = split_name_of(first->path, &split, i);

        parts[i - 1] = find_file(files, path);
        if (parts[i - 1] == NULL) {
            free(parts);
            return err_set(err, ERR_MODEL_NOT_FOUND, "the repository lacks part %u of %u, %s", i,
                           split.count, file_path_last(path));
        }
    }
    out->files = parts;
    out->count = split.count;
    return 0;
}

/* The one model whose name has WORD in it. NULL without err: none. */
static const struct hub_file *find_word(const struct hub_files *files, const char *word,
                                        bool *out_is_ambiguous)
{
    const struct hub_file *found = NULL;

    *out_is_ambiguous = false;
    for (size_t i = 0; i < files->count; i++) {
        const char *path = files->files[i].path;

        if (!begins_model(path) || !has_word(file_path_last(path), word))
            continue;
        *out_is_ambiguous = found != NULL;
        found = &files->files[i];
    }
    return found;
}

static int choose_named(const struct hub_files *files, const char *file, struct choice *out,
                        struct err *err)
{
    const struct hub_file *found = find_file(files, file);
    AUTO_FREE char *what = xasprintf("the repository has no file %s", file);

    if (found == NULL || !split_name_is_gguf(found->path))
        return refuse(files, ERR_MODEL_NOT_FOUND, what, err);
    return take_parts(files, found, out, err);
}

static int choose_quant(const struct hub_files *files, const char *quant, struct choice *out,
                        struct err *err)
{
    bool is_ambiguous = false;
    const struct hub_file *found = find_word(files, quant, &is_ambiguous);
    AUTO_FREE char *what = NULL;

    if (found != NULL && !is_ambiguous)
        return take_parts(files, found, out, err);
    what = xasprintf(is_ambiguous ? "more than one model is called %s: name its file, as "
                                    "hf:ORG/REPO/FILE"
                                  : "no model of the repository is called %s",
                     quant);
    return refuse(files, is_ambiguous ? ERR_CONFLICT : ERR_MODEL_NOT_FOUND, what, err);
}

/* What else there is to choose from, in the order of preference. */
static void explain(const struct hub_files *files, const char *taken, struct choice *out)
{
    size_t count = 0;
    bool is_ambiguous = false;

    (void)snprintf(out->why, sizeof(out->why), "%s, of ", taken);
    for (size_t i = 0; i < ARRAY_COUNT(PREFERRED); i++) {
        size_t len = strlen(out->why);

        if (find_word(files, PREFERRED[i], &is_ambiguous) != NULL)
            (void)snprintf(out->why + len, sizeof(out->why) - len, "%s%s", count++ > 0 ? ", " : "",
                           PREFERRED[i]);
    }
    if (count == 1)
        out->why[0] = '\0'; /* it is all there is */
}

static int choose_default(const struct hub_files *files, struct choice *out, struct err *err)
{
    const struct hub_file *only = NULL;
    size_t count = 0;

    for (size_t i = 0; i < files->count; i++) {
        if (begins_model(files->files[i].path)) {
            only = &files->files[i];
            count++;
        }
    }
    if (count == 1)
        return take_parts(files, only, out, err);
    for (size_t i = 0; i < ARRAY_COUNT(PREFERRED); i++) {
        bool is_ambiguous = false;
        const struct hub_file *found = find_word(files, PREFERRED[i], &is_ambiguous);

        if (found == NULL || is_ambiguous)
            continue;
        explain(files, PREFERRED[i], out);
        return take_parts(files, found, out, err);
    }
    return refuse(files, ERR_CONFLICT, "which of its models? name one, as hf:ORG/REPO/FILE", err);
}

int choose_files(const struct hub_files *files, const char *quant, const char *file,
                 struct choice *out, struct err *err)
{
    *out = (struct choice){.files = NULL};
    if (file[0] != '\0')
        return choose_named(files, file, out, err);
    if (quant[0] != '\0')
        return choose_quant(files, quant, out, err);
    return choose_default(files, out, err);
}
