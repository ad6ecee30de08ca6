/* Owns how a key of an architecture is spelled, and the checks of a single number. */
#include "hip/model/arch_keys.h"

#include <math.h>
#include <stdio.h>

const char *arch_key(const char *architecture, const char *name, char out[ARCH_KEY_MAX_BYTES])
{
    (void)snprintf(out, ARCH_KEY_MAX_BYTES, "%s.%s", architecture, name); /* ours: it fits */
    return out;
}

int arch_read_number(const struct gguf *gguf, const char *architecture, const char *name,
                     double fallback, double *out, struct err *err)
{
    char key[ARCH_KEY_MAX_BYTES];
    double value = fallback;

    if (gguf_has(gguf, arch_key(architecture, name, key)) &&
        gguf_read_f64(gguf, key, &value, err) != 0)
        return -1;
    if (!isfinite(value) || value < 0.0)
        return err_set(err, ERR_INVALID_MODEL, "%s is %g, not a positive number", key, value);
    *out = value;
    return 0;
}

int arch_read_positive(const struct gguf *gguf, const char *architecture, const char *name,
                       double fallback, double *out, struct err *err)
{
    char key[ARCH_KEY_MAX_BYTES];
    double value = fallback;

    (void)arch_key(architecture, name, key);
    if ((fallback == 0.0 || gguf_has(gguf, key)) && gguf_read_f64(gguf, key, &value, err) != 0)
        return -1;
    if (!isfinite(value) || value <= 0.0)
        return err_set(err, ERR_INVALID_MODEL, "%s is %g, not a positive number", key, value);
    *out = value;
    return 0;
}
