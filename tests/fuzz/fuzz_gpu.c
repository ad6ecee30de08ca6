/* What drivers and rbee-gpu write, of any bytes: each line as one of rbee-gpu's, and as what
 * rbee-worker tells of devices; the whole as an
 * fdinfo, a table of levels, a number, and a line of amdgpu.ids. Whatever it is, the table of GPUs
 * stays sorted and printable, and a figure is one that can be. */
#include "common/json.h"
#include "common/mem.h"
#include "common/utf8.h"
#include "gpu/amd_names.h"
#include "gpu/fdinfo.h"
#include "gpu/sysfs.h"
#include "supervisor/gpu/ability.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_text(const char *text)
{
    AUTO_FREE char *printable = xstrdup(text);

    utf8_make_printable(printable, strlen(printable));
    assert(strcmp(printable, text) == 0);
}

static void check_table(const struct gpu_table *table)
{
    assert(table->count <= GPU_MAX_COUNT);
    for (size_t i = 0; i < table->count; i++) {
        const struct gpu *gpu = table->gpus[i];

        assert(i == 0 || strcmp(table->gpus[i - 1]->pci, gpu->pci) < 0);
        assert(gpu_table_find(table, gpu->pci, NULL) == gpu);
        check_text(gpu->pci);
        check_text(gpu->name);
        check_text(gpu->uuid);
        check_text(gpu->vendor);
        check_text(gpu->pcie_link);
        check_text(gpu->ability.reason);
        check_text(gpu->ability.architecture);
        check_text(gpu->ability.uuid);
        assert(gpu->is_told || gpu->ability.is_listed || gpu->round == table->round);
        assert(gpu->ability.memory_bytes >= -1);
        assert(gpu->use_count <= GPU_USE_MAX_COUNT);
        for (size_t j = 0; j < gpu->use_count; j++) {
            assert(gpu->uses[j].pid > 0 && gpu->uses[j].memory_bytes >= -1);
            check_text(gpu->uses[j].command);
        }
        assert(!gpu_figures_knows(&gpu->figures, GPU_FIGURE_BUSY) ||
               gpu->figures.values[GPU_FIGURE_BUSY] <= 100);
    }
}

static void fuzz_ability(struct gpu_table *table, const char *text, size_t len)
{
    struct err err = ERR_INIT;
    AUTO_JSON json_t *record = json_parse(text, len, len + 1, &err);
    struct ability_answer answer;

    if (ability_read(record, &answer, &err) != 0)
        return;
    assert(answer.count <= GPU_MAX_COUNT);
    check_text(answer.reason);
    gpu_table_see(table, &answer);
}

static void fuzz_lines(const char *text)
{
    struct gpu_table table = {0};
    char step[GPU_PCI_BYTES] = "";
    int64_t now_ms = 0;

    while (*text != '\0') {
        size_t len = strcspn(text, "\n");

        (void)gpu_table_take(&table, text, len, now_ms, step);
        fuzz_ability(&table, text, len);
        check_table(&table);
        now_ms += GPU_HISTORY_STEP_MS;
        text += text[len] == '\0' ? len : len + 1;
    }
    gpu_table_release(&table);
}

static void fuzz_texts(const char *text)
{
    struct fdinfo info;
    char name[CARD_TEXT_BYTES] = "";
    double value = 0;

    if (fdinfo_parse(text, &info))
        assert(info.memory_bytes >= -1 && strlen(info.pdev) < FDINFO_WORD_BYTES);
    if (sysfs_parse_level_mhz(text, &value))
        assert(value >= 0);
    (void)sysfs_parse_number(text, &value);
    if (amd_names_match(text, "0x744c", "0xc8", name))
        assert(strlen(name) > 0 && strlen(name) < CARD_TEXT_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    AUTO_FREE char *text = xstrndup((const char *)data, len);

    fuzz_lines(text);
    fuzz_texts(text);
    return 0;
}
