/* make_gguf: writes a model with random weights and a real vocabulary, our own (tests/tiny_model.h)
 * or another file's, to a file, whole or with a planted fault. Options are a table; the usage text
 * is made of it. */
#include "common/attr.h"
#include "common/err.h"
#include "common/io.h"
#include "tests/tiny_model.h"

#include <fcntl.h>
#include <getopt.h>

static const size_t FILE_MAX_BYTES = (size_t)40 * 1024 * 1024 * 1024;

struct options {
    struct tiny_model tiny;
    const char *fault;
    const char *vocab_from; /* a path, or NULL */
};

/* Faults in the bytes of a finished file; those in the model are flags of struct tiny_model. */
static const struct {
    const char *name;
    const char *summary;
} FAULTS[] = {
    {"truncated", "the second half is missing"},
    {"header-truncated", "ends after 100 bytes"},
    {"zeros", "the same length, all zero"},
    {"empty", "no byte at all"},
    {"magic", "begins with GGML"},
    {"version-1", "claims version 1"},
    {"big-endian", "claims version 3 in the other byte order"},
    {"past-end", "the last tensor's data are cut off"},
    {"tensor-count", "claims 2^60 tensors"},
    {"key-count", "claims 2^60 keys"},
    {"nan", "NaN in a weight: every logit is NaN"},
    {"missing-row", "one token more than the embedding has rows"},
    {"missing-tensor", "no blk.0.attn_k.weight"},
    {"wrong-shape", "blk.0.ffn_down.weight is turned round"},
    {"architecture", "is a \"mamba\""},
    {"tensor-type", "the first tensor claims to be IQ2_XXS"},
};

#define NUMBERS(X)                                                                                 \
    X(embedding, "width of a row")                                                                 \
    X(layers, "layers")                                                                            \
    X(heads, "query heads")                                                                        \
    X(kv_heads, "key and value heads")                                                             \
    X(head_dim, "elements of a head")                                                              \
    X(rope_dims, "how many of them turn")                                                          \
    X(feed_forward, "width inside the feed-forward part")                                          \
    X(vocab, "tokens, unused ones behind the real; 0: only these")                                 \
    X(window, "tokens of a sliding window, where the architecture has any")                        \
    X(window_period, "each so manyth layer without one; 0: as usual")                              \
    X(original_context, "tokens before its rope was scaled")                                       \
    X(context, "tokens it claims to be trained on")                                                \
    X(seed, "of the weights")                                                                      \
    X(repeated_rows, "of each matrix are made, the others copied: fast; 0: all are made")

#define REALS(X)                                                                                   \
    X(rope_base, "rope.freq_base")                                                                 \
    X(window_rope_base, "rope.freq_base_swa")                                                      \
    X(rope_factor, "rope.scaling.factor")                                                          \
    X(rope_attn_factor, "rope.scaling.attn_factor")                                                \
    X(attention_softcap, "attn_logit_softcapping")                                                 \
    X(logit_softcap, "final_logit_softcapping")

#define FLAGS(X)                                                                                   \
    X(is_untied, "a head of its own (output.weight)")                                              \
    X(has_qkv_bias, "with biases of q, k and v, where the architecture may do without")            \
    X(has_rope_freqs, "with rope_freqs.weight")                                                    \
    X(has_no_template, "without a chat template")                                                  \
    X(never_ends, "greedy never takes a control token")

static void usage(FILE *file)
{
    struct tiny_model tiny = tiny_model_default();

    fputs("usage: make_gguf [OPTION=VALUE]... [FLAG]... [--vocab-from GGUF] [fault=NAME] FILE\n"
          "  architecture=NAME            llama qwen2 qwen3 gemma2 gemma3; comes before sizes, as "
          "it sets layers, window and rope_base [llama]\n"
          "  type=T, head_type=T          one of quant_types.def that has a reader [Q8_0]\n"
          "  fine_type=T                  of output and half of attn_v and ffn_down, as in files "
          "called Q4_K_M\n"
          "  rope_type=NAME               rope.scaling.type\n"
          "  --vocab-from GGUF            that file's tokens and chat template, for ours\n",
          file);
#define X(field, summary)                                                                          \
    fprintf(file, "  %-28s %s [%llu]\n", #field "=N", summary, (unsigned long long)tiny.field);
    NUMBERS(X)
#undef X
#define X(field, summary)                                                                          \
    fprintf(file, "  %-28s %s [%g]\n", #field "=X", summary, (double)tiny.field);
    REALS(X)
#undef X
#define X(field, summary) fprintf(file, "  %-28s %s\n", #field, summary);
    FLAGS(X)
#undef X
    fputs("faults:\n", file);
    for (size_t i = 0; i < ARRAY_COUNT(FAULTS); i++)
        fprintf(file, "  %-28s %s\n", FAULTS[i].name, FAULTS[i].summary);
    fputs("A token that takes long: --device ref, or embedding=1024 feed_forward=4096 layers=24 "
          "heads=16 kv_heads=16 head_dim=64 (about 430 MB).\n",
          file);
}

static bool parse_type(const char *text, uint32_t *out)
{
    for (uint32_t type = 0; type <= QUANT_TYPE_MAX; type++) {
        if (quant_info(type) != NULL && quant_info(type)->decode != NULL &&
            strcmp(quant_info(type)->name, text) == 0) {
            *out = type;
            return true;
        }
    }
    return false;
}

static bool parse_fault(struct options *options, const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(FAULTS); i++) {
        if (strcmp(FAULTS[i].name, name) == 0)
            options->fault = FAULTS[i].name;
    }
    options->tiny.nan_weights = strcmp(name, "nan") == 0;
    options->tiny.lacks_head_row = strcmp(name, "missing-row") == 0;
    options->tiny.lacks_tensor = strcmp(name, "missing-tensor") == 0;
    options->tiny.wrong_shape = strcmp(name, "wrong-shape") == 0;
    if (strcmp(name, "architecture") == 0)
        options->tiny.architecture = "mamba";
    return options->fault != NULL;
}

static bool parse_option(struct options *options, const char *text)
{
    struct tiny_model *tiny = &options->tiny;
    const char *equals = strchr(text, '=');
    const char *value = equals != NULL ? equals + 1 : "";
    size_t len = equals != NULL ? (size_t)(equals - text) : strlen(text);

#define X(field, summary)                                                                          \
    if (equals != NULL && len == sizeof(#field) - 1 && strncmp(text, #field, len) == 0) {          \
        tiny->field = (__typeof__(tiny->field))strtoull(value, NULL, 10);                          \
        return true;                                                                               \
    }
    NUMBERS(X)
#undef X
#define X(field, summary)                                                                          \
    if (equals != NULL && len == sizeof(#field) - 1 && strncmp(text, #field, len) == 0) {          \
        tiny->field = strtof(value, NULL);                                                         \
        return true;                                                                               \
    }
    REALS(X)
#undef X
#define X(field, summary)                                                                          \
    if (strcmp(text, #field) == 0) {                                                               \
        tiny->field = true;                                                                        \
        return true;                                                                               \
    }
    FLAGS(X)
#undef X
    if (strncmp(text, "architecture=", 13) == 0)
        return tiny_model_set_architecture(tiny, value);
    if (strncmp(text, "rope_type=", 10) == 0) {
        tiny->rope_type = value;
        return true;
    }
    if (strncmp(text, "type=", 5) == 0)
        return parse_type(value, &tiny->type);
    if (strncmp(text, "head_type=", 10) == 0)
        return parse_type(value, &tiny->head_type);
    if (strncmp(text, "fine_type=", 10) == 0)
        return parse_type(value, &tiny->fine_type);
    return strncmp(text, "fault=", 6) == 0 && parse_fault(options, value);
}

/* Bytes 4 to 7 are the version, 8 to 15 the tensor count, 16 to 23 the key count. */
static void plant_fault(struct buf *file, const char *fault)
{
    const uint64_t huge = (uint64_t)1 << 60;
    const uint32_t version_1 = 1;
    const uint32_t version_3_swapped = 3u << 24;
    const char *first_tensor = "token_embd.weight";
    const size_t type_after_name = 17 + 4 + 2 * 8;
    char *place = NULL;

    if (strcmp(fault, "truncated") == 0) {
        file->len /= 2;
    } else if (strcmp(fault, "header-truncated") == 0) {
        file->len = 100;
    } else if (strcmp(fault, "zeros") == 0) {
        memset(file->data, 0, file->len);
    } else if (strcmp(fault, "empty") == 0) {
        file->len = 0;
    } else if (strcmp(fault, "magic") == 0) {
        memcpy(file->data, "GGML", 4);
    } else if (strcmp(fault, "version-1") == 0) {
        memcpy(file->data + 4, &version_1, sizeof(version_1));
    } else if (strcmp(fault, "big-endian") == 0) {
        memcpy(file->data + 4, &version_3_swapped, sizeof(version_3_swapped));
    } else if (strcmp(fault, "past-end") == 0) {
        file->len -= 64;
    } else if (strcmp(fault, "tensor-count") == 0) {
        memcpy(file->data + 8, &huge, sizeof(huge));
    } else if (strcmp(fault, "key-count") == 0) {
        memcpy(file->data + 16, &huge, sizeof(huge));
    } else if (strcmp(fault, "tensor-type") == 0) {
        const uint32_t type = QUANT_IQ2_XXS;

        place = memmem(file->data, file->len, first_tensor, strlen(first_tensor));
        memcpy(place + type_after_name, &type, sizeof(type));
    }
}

/* ---- another file's vocabulary ---- */

/* A place in the metadata of a file that gguf_open_memory() has accepted: no length is checked
 * again. */
static uint64_t take_u64(const char **at)
{
    uint64_t value;

    memcpy(&value, *at, sizeof(value));
    *at += sizeof(value);
    return value;
}

static uint32_t take_u32(const char **at)
{
    uint32_t value;

    memcpy(&value, *at, sizeof(value));
    *at += sizeof(value);
    return value;
}

static void skip_text(const char **at)
{
    *at += take_u64(at);
}

static void skip_value(const char **at, uint32_t type)
{
    static const uint64_t SIZES[GGUF_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    uint32_t element = 0;

    if (type == GGUF_STRING) {
        skip_text(at);
    } else if (type == GGUF_ARRAY) {
        element = take_u32(at);
        for (uint64_t left = take_u64(at); left > 0; left--)
            skip_value(at, element);
    } else {
        *at += SIZES[type];
    }
}

/* The entries under "tokenizer." of FILE, byte for byte, to OUT; their number. */
static uint64_t copy_vocab(const struct buf *file, struct buf *out)
{
    static const char PREFIX[] = "tokenizer.";
    const char *at = file->data + 16; /* magic, version, tensors */
    uint64_t copied = 0;

    for (uint64_t left = take_u64(&at); left > 0; left--) {
        const char *entry = at;
        const char *key = at + sizeof(uint64_t);

        skip_text(&at);
        skip_value(&at, take_u32(&at));
        if (strncmp(key, PREFIX, sizeof(PREFIX) - 1) != 0)
            continue;
        writer_check(buf_add(out, entry, (size_t)(at - entry)));
        copied++;
    }
    return copied;
}

static int take_vocab(const char *path, struct tiny_model *tiny, struct buf *entries,
                      struct err *err)
{
    AUTO_BUF struct buf file = BUF_INIT(FILE_MAX_BYTES);
    struct gguf *gguf = NULL;
    uint64_t tokens = 0;
    int result = 0;

    if (io_read_file(path, &file, err) < 0)
        return -1;
    gguf = gguf_open_memory(file.data, file.len, err);
    if (gguf == NULL)
        return -1;
    result = gguf_array_len(gguf, "tokenizer.ggml.tokens", GGUF_STRING, &tokens, err);
    gguf_free(gguf);
    if (result != 0)
        return -1;
    tiny->vocab = (uint32_t)tokens;
    tiny->vocab_entry_count = copy_vocab(&file, entries);
    tiny->vocab_entries = entries;
    return 0;
}

/* A row of a type is whole blocks. */
static int check_sizes(const struct tiny_model *tiny, struct err *err)
{
    const struct {
        uint32_t columns;
        uint32_t type;
    } rows[] = {
        {tiny->embedding, tiny->type},      {tiny->embedding, tiny->head_type},
        {tiny->embedding, tiny->fine_type}, {tiny->feed_forward, tiny->fine_type},
        {tiny->feed_forward, tiny->type},   {tiny->heads * tiny->head_dim, tiny->type},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct quant_info *info = quant_info(rows[i].type);

        if (rows[i].columns % info->block_elements != 0)
            return err_set(err, ERR_USAGE, "rows of %u are not whole blocks of %s, which have %u",
                           rows[i].columns, info->name, info->block_elements);
    }
    return 0;
}

static int write_model(struct options *options, const char *path, struct err *err)
{
    AUTO_BUF struct buf file = BUF_INIT(FILE_MAX_BYTES);
    AUTO_BUF struct buf vocab = BUF_INIT(FILE_MAX_BYTES);
    AUTO_CLOSE int fd = -1;

    if (check_sizes(&options->tiny, err) != 0)
        return -1;
    if (options->vocab_from != NULL &&
        take_vocab(options->vocab_from, &options->tiny, &vocab, err) != 0)
        return err_wrap(err, "take the vocabulary of %s", options->vocab_from);
    tiny_model_build(&options->tiny, &file);
    if (options->fault != NULL)
        plant_fault(&file, options->fault);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_set(err, ERR_OUTPUT, "create %s: %m", path);
    return io_write_all(fd, file.data, file.len, err);
}

static bool parse_options(struct options *options, int argc, char **argv)
{
    for (int i = 1; i < argc - 1; i++) {
        if (strcmp(argv[i], "--vocab-from") == 0 && i + 1 < argc - 1) {
            options->vocab_from = argv[++i];
        } else if (!parse_option(options, argv[i])) {
            fprintf(stderr, "make_gguf: cannot read \"%s\"\n", argv[i]);
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {.tiny = tiny_model_default()};
    struct err err = ERR_INIT;

    if (argc < 2 || strcmp(argv[argc - 1], "--help") == 0) {
        usage(argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    if (!parse_options(&options, argc, argv)) {
        usage(stderr);
        return 2;
    }
    if (write_model(&options, argv[argc - 1], &err) != 0) {
        fprintf(stderr, "make_gguf: %s\n", err.message);
        return 1;
    }
    return 0;
}
