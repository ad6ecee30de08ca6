/* Owns the two forms of metrics. Knows no metric. */
#include "common/metrics_text.h"

#include "common/mem.h"

#include <string.h>

json_t *metrics_family(const char *name, enum metrics_type type, const char *help)
{
    static const char *const TYPES[] = {
        [METRICS_COUNTER] = "counter",
        [METRICS_GAUGE] = "gauge",
        [METRICS_HISTOGRAM] = "histogram",
        [METRICS_UNTYPED] = "untyped",
    };

    return json_pack("{s:s, s:s, s:s, s:[]}", "name", name, "type", TYPES[type], "help", help,
                     "samples");
}

void metrics_sample(json_t *family, const char *suffix, json_t *labels, json_t *value)
{
    const char *family_name = json_string_value(json_object_get(family, "name"));
    AUTO_FREE char *name = xasprintf("%s%s", family_name, suffix);

    (void)json_array_append_new(
        json_object_get(family, "samples"),
        json_pack("{s:s, s:o, s:o}", "name", name, "labels", labels, "value", value));
}

/* ---- text ---- */

static bool is_word(const char *text)
{
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char ALL[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

    return text != NULL && text[0] != '\0' && strchr(LETTERS, text[0]) != NULL &&
           text[strspn(text, ALL)] == '\0';
}

/* What would end a line, or a quoted value, early. In a help text a quote is nothing special. */
static int print_escaped(struct buf *out, const char *text, bool is_quoted)
{
    for (; *text != '\0'; text++) {
        int rc = 0;

        if (*text == '\n')
            rc = buf_add_string(out, "\\n");
        else if (*text == '\\' || (*text == '"' && is_quoted))
            rc = buf_printf(out, "\\%c", *text);
        else
            rc = buf_add_byte(out, *text);
        if (rc != 0)
            return -1;
    }
    return 0;
}

static int print_labels(json_t *labels, struct buf *out)
{
    const char *key = NULL;
    json_t *value = NULL;
    const char *before = "{";

    json_object_foreach(labels, key, value)
    {
        if (!is_word(key) || !json_is_string(value) ||
            buf_printf(out, "%s%s=\"", before, key) != 0 ||
            print_escaped(out, json_string_value(value), true) != 0 || buf_add_byte(out, '"') != 0)
            return -1;
        before = ",";
    }
    return json_object_size(labels) == 0 ? 0 : buf_add_byte(out, '}');
}

/* 15 digits are what a double holds for certain. */
static int print_value(const json_t *value, struct buf *out)
{
    if (json_is_integer(value))
        return buf_printf(out, " %" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
    if (json_is_real(value))
        return buf_printf(out, " %.15g\n", json_real_value(value));
    return -1;
}

static int print_sample(const json_t *sample, struct buf *out)
{
    const char *name = json_string_value(json_object_get(sample, "name"));
    json_t *labels = json_object_get(sample, "labels");

    if (!is_word(name) || !json_is_object(labels) || buf_add_string(out, name) != 0)
        return -1;
    return print_labels(labels, out) == 0 ? print_value(json_object_get(sample, "value"), out) : -1;
}

static int print_family(const json_t *family, struct buf *out)
{
    const char *name = json_string_value(json_object_get(family, "name"));
    const char *type = json_string_value(json_object_get(family, "type"));
    const char *help = json_string_value(json_object_get(family, "help"));
    const json_t *samples = json_object_get(family, "samples");
    const json_t *sample = NULL;
    size_t index = 0;

    if (!is_word(name) || !is_word(type) || help == NULL || !json_is_array(samples))
        return -1;
    if (buf_printf(out, "# HELP %s ", name) != 0 || print_escaped(out, help, false) != 0 ||
        buf_printf(out, "\n# TYPE %s %s\n", name, type) != 0)
        return -1;
    json_array_foreach(samples, index, sample)
    {
        if (print_sample(sample, out) != 0)
            return -1;
    }
    return 0;
}

int metrics_print(const json_t *metrics, struct buf *out, struct err *err)
{
    const json_t *families = json_object_get(metrics, "metrics");
    const json_t *family = NULL;
    size_t index = 0;

    if (!json_is_array(families))
        return err_set(err, ERR_PROTOCOL, "there is no list \"metrics\"");
    json_array_foreach(families, index, family)
    {
        if (print_family(family, out) != 0)
            return err_set(err, ERR_PROTOCOL, "metric %zu is none, or too long", index);
    }
    return 0;
}
