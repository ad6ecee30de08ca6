/* AMX where the processor has none: a handler of SIGILL does what the instruction it stands at
 * would have done, by Intel's manual (volume 2, and chapter 18 of volume 1), and goes on behind it.
 * So it is the very instructions that a test runs: their registers, their addresses, and what the
 * compiler has left around them.
 *
 * What the manual forbids ends the test: no configuration, tiles whose shapes do not fit, the same
 * tile twice in a product. One thread alone, and x86-64 with gcc's or clang's encodings: an
 * instruction of another kind dies of SIGILL as before. */
#ifndef RBEE_TESTS_AMX_TRAP_H
#define RBEE_TESTS_AMX_TRAP_H

#if defined(__x86_64__)

#include "hip/backend/cpu_tiles.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <cmocka.h>

/* The manual's numbers once more: those of cpu_tiles.h are what is tested. */
enum {
    AMX_TILES = 8,
    AMX_ROWS = 16,
    AMX_ROW_BYTES = 64,
    AMX_CONFIG_ROW_BYTES_AT = 16,
    AMX_CONFIG_ROWS_AT = 48,
};

struct amx_tile {
    uint32_t rows; /* 0: not configured */
    uint32_t row_bytes;
    uint8_t bytes[AMX_ROWS][AMX_ROW_BYTES];
};

static struct {
    bool is_configured;
    struct amx_tile tiles[AMX_TILES];
    uint64_t products; /* that were seen */
    struct sigaction before;
} amx;

/* ---- what instructions do ---- */

static void amx_refuse(const char *what)
{
    (void)fprintf(stderr, "amx: %s\n", what);
    abort();
}

static struct amx_tile *amx_tile(uint32_t number)
{
    if (!amx.is_configured || number >= AMX_TILES || amx.tiles[number].rows == 0)
        amx_refuse("a tile that is not configured");
    return &amx.tiles[number];
}

static void amx_release(void)
{
    memset(amx.tiles, 0, sizeof(amx.tiles));
    amx.is_configured = false;
}

static void amx_configure(const uint8_t *config)
{
    amx_release();
    if (config[0] != 1)
        amx_refuse("a palette that is not 1");
    for (uint32_t i = 1; i < AMX_CONFIG_ROW_BYTES_AT; i++) {
        if (config[i] != 0)
            amx_refuse("a row to start at, or a reserved byte");
    }
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t rows = config[AMX_CONFIG_ROWS_AT + i];
        uint16_t row_bytes;

        memcpy(&row_bytes, config + AMX_CONFIG_ROW_BYTES_AT + (uint64_t)i * sizeof(row_bytes),
               sizeof(row_bytes));
        if (rows > AMX_ROWS || row_bytes > AMX_ROW_BYTES || (rows == 0) != (row_bytes == 0) ||
            (i >= AMX_TILES && rows != 0))
            amx_refuse("a tile that is too large");
        if (i < AMX_TILES)
            amx.tiles[i] = (struct amx_tile){.rows = rows, .row_bytes = row_bytes};
    }
    amx.is_configured = true;
}

static void amx_load(struct amx_tile *tile, const uint8_t *from, int64_t stride)
{
    memset(tile->bytes, 0, sizeof(tile->bytes));
    for (uint32_t r = 0; r < tile->rows; r++)
        memcpy(tile->bytes[r], from + r * stride, tile->row_bytes);
}

static void amx_store(const struct amx_tile *tile, uint8_t *to, int64_t stride)
{
    for (uint32_t r = 0; r < tile->rows; r++)
        memcpy(to + r * stride, tile->bytes[r], tile->row_bytes);
}

/* TDPBSSD. */
static void amx_add_product(struct amx_tile *sum, const struct amx_tile *a,
                            const struct amx_tile *b)
{
    if (sum == a || sum == b || a == b)
        amx_refuse("the same tile twice in a product");
    if (sum->rows != a->rows || sum->row_bytes != b->row_bytes || a->row_bytes != 4 * b->rows ||
        sum->row_bytes % 4 != 0)
        amx_refuse("tiles whose shapes do not fit");
    for (uint32_t m = 0; m < sum->rows; m++) {
        uint32_t sums[AMX_ROW_BYTES / 4];

        memcpy(sums, sum->bytes[m], sizeof(sums));
        for (uint32_t k = 0; k < a->row_bytes; k++) {
            int32_t left = (int8_t)a->bytes[m][k];

            for (uint32_t n = 0; n < sum->row_bytes / 4; n++)
                sums[n] += (uint32_t)(left * (int8_t)b->bytes[k / 4][4 * n + k % 4]);
        }
        memcpy(sum->bytes[m], sums, sizeof(sums));
    }
    amx.products++;
}

/* ---- what instructions say ---- */

/* A VEX prefix of three bytes, an opcode and its operands. */
struct amx_code {
    uint32_t prefix; /* 0: none, 1: 66, 2: F3, 3: F2 */
    uint32_t opcode;
    uint32_t mod;
    uint32_t reg;
    uint32_t rm;
    uint32_t vvvv;
    uint64_t address; /* of an operand in memory */
    int64_t index;    /* a register times its scale: what is added for each row of a tile */
    uint64_t len;
};

static int64_t amx_register(const gregset_t registers, uint32_t number)
{
    static const int PLACES[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                 REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                 REG_R12, REG_R13, REG_R14, REG_R15};

    return registers[PLACES[number]];
}

static int64_t amx_displacement(const uint8_t **at, uint32_t bytes)
{
    int32_t value = 0;

    memcpy(&value, *at, bytes);
    *at += bytes;
    return bytes == 1 ? (int8_t)value : value;
}

/* The operand in memory behind ModRM, at AT. X and B are the upper bits of index and base. */
static void amx_decode_address(const uint8_t **at, const gregset_t registers, uint32_t x,
                               uint32_t b, struct amx_code *code)
{
    bool has_base = code->mod != 0 || code->rm % 8 != 5;
    bool is_relative = !has_base; /* to the next instruction, but for one with a SIB byte */
    uint32_t base = code->rm;

    if (code->rm % 8 == 4) {
        uint32_t sib = *(*at)++;
        uint32_t index = (sib >> 3 & 7) | x << 3;

        base = (sib & 7) | b << 3;
        has_base = code->mod != 0 || base % 8 != 5;
        is_relative = false;
        if (index != 4)
            code->index = amx_register(registers, index) << (sib >> 6);
    }
    if (has_base)
        code->address = (uint64_t)amx_register(registers, base);
    if (code->mod == 1)
        code->address += (uint64_t)amx_displacement(at, 1);
    else if (code->mod == 2 || !has_base)
        code->address += (uint64_t)amx_displacement(at, 4);
    if (is_relative)
        code->address += (uint64_t)(uintptr_t)*at;
}

static bool amx_decode(const uint8_t *at, const gregset_t registers, struct amx_code *code)
{
    const uint8_t *start = at;
    uint32_t first = at[1];
    uint32_t second = at[2];

    *code = (struct amx_code){.prefix = second & 3,
                              .opcode = at[3],
                              .mod = at[4] >> 6,
                              .reg = (at[4] >> 3 & 7) | (~first >> 7 & 1) << 3,
                              .rm = (at[4] & 7) | (~first >> 5 & 1) << 3,
                              .vvvv = ~second >> 3 & 15};
    /* C4, the second map of opcodes, neither W nor L */
    if (at[0] != 0xc4 || (first & 0x1f) != 2 || (second & 0x84) != 0)
        return false;
    at += 5;
    if (code->mod != 3)
        amx_decode_address(&at, registers, ~first >> 6 & 1, ~first >> 5 & 1, code);
    code->len = (uint64_t)(at - start);
    return true;
}

/* False: it is none of ours. */
static bool amx_run(const struct amx_code *code)
{
    uint8_t *memory = (uint8_t *)(uintptr_t)code->address; /* NOLINT: a register is no pointer */

    switch (code->opcode << 8 | code->prefix << 4 | (code->mod == 3)) {
    case 0x4900: /* LDTILECFG */
        amx_configure(memory);
        return true;
    case 0x4901: /* TILERELEASE */
        amx_release();
        return true;
    case 0x4931: /* TILEZERO */
        memset(amx_tile(code->reg)->bytes, 0, sizeof(amx_tile(code->reg)->bytes));
        return true;
    case 0x4b30: /* TILELOADD */
        amx_load(amx_tile(code->reg), memory, code->index);
        return true;
    case 0x4b20: /* TILESTORED */
        amx_store(amx_tile(code->reg), memory, code->index);
        return true;
    case 0x5e31: /* TDPBSSD */
        amx_add_product(amx_tile(code->reg), amx_tile(code->rm), amx_tile(code->vvvv));
        return true;
    default:
        return false;
    }
}

static void amx_trap(int signal_number, siginfo_t *info, void *context)
{
    gregset_t *registers = &((ucontext_t *)context)->uc_mcontext.gregs;
    struct amx_code code;

    if (!amx_decode(info->si_addr, *registers, &code) || !amx_run(&code)) {
        (void)sigaction(SIGILL, &amx.before, NULL); /* the instruction comes again */
        return;
    }
    (*registers)[REG_RIP] += (greg_t)code.len;
}

/* Whether instructions come here: not where the processor knows them. */
static inline bool amx_trap_begin(void)
{
    struct sigaction action = {.sa_sigaction = amx_trap, .sa_flags = SA_SIGINFO};
    bool is_trapped = false;

    amx_release();
    amx.products = 0;
    assert_int_equal(sigaction(SIGILL, &action, &amx.before), 0);
    tiles_on();
    is_trapped = amx.is_configured;
    tiles_off();
    return is_trapped;
}

static inline void amx_trap_end(void)
{
    assert_int_equal(sigaction(SIGILL, &amx.before, NULL), 0);
    assert_false(amx.is_configured); /* tiles were given back */
}

#endif

#endif
