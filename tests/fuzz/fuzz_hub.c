/* A repository's listing, as a hub sends it, and what is chosen of it. The names that come out are
 * harmless, and every part of a model that was chosen is there. */
#include "common/json.h"
#include "common/mem.h"
#include "common/split_name.h"
#include "fetch/choose.h"
#include "fetch/file_name.h"
#include "fetch/hub.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { LISTING_MAX_BYTES = 1 << 20 };

static void check_choice(const struct hub_files *files, const char *quant, const char *file)
{
    struct choice choice;
    struct err err = ERR_INIT;

    if (choose_files(files, quant, file, &choice, &err) == 0) {
        assert(choice.count > 0);
        for (size_t i = 0; i < choice.count; i++) {
            AUTO_FREE char *url = hub_file_url("https://h", "a/b", choice.files[i]->path);

            assert(strncmp(url, "https://h/a/b/", strlen("https://h/a/b/")) == 0);
            assert(file_path_is_harmless(choice.files[i]->path));
            assert(split_name_is_gguf(choice.files[i]->path) && choice.files[i]->size_bytes > 0);
        }
    }
    free(choice.files);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct hub_files files = {.files = NULL};
    AUTO_JSON json_t *listing = json_parse((const char *)data, size, LISTING_MAX_BYTES, &err);

    if (listing != NULL && hub_read_listing(listing, &files, &err) == 0) {
        check_choice(&files, "", "");
        check_choice(&files, "Q8_0", "");
        if (files.count > 0)
            check_choice(&files, "", files.files[0].path);
    }
    hub_files_release(&files);
    return 0;
}
