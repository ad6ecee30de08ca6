#!/usr/bin/env bash
# What the compiler made of the kernels for AMD's GPUs: kernels_table.sh [-k REGEX] OBJECT...
# OBJECTs are those of `make kernels`; REGEX is what a kernel's whole name matches [matvec_.*_r1].
# Of each kernel: registers, spills, shared memory, and how many
# instructions of its code are products of four bytes, loads of 16 bytes, and other loads of memory.
# At the end: every kernel of every object that spills vector registers, or has memory of its own.
set -euo pipefail
pattern='matvec_.*_r1'
if [ "${1:-}" = -k ]; then
    pattern=${2:?}
    shift 2
fi
objdump=${OBJDUMP:-llvm-objdump-22}
readelf=${READELF:-llvm-readelf-22}

# One line a kernel: name, vector and scalar registers, spills of both, shared and private bytes.
registers() { # OBJECT
    "$readelf" --notes "$1" | awk '
        # Lists in a kernel (its arguments) lie deeper than its own fields.
        /^    \.name:/ { name = $2 }
        /^    \.vgpr_count:/ { vgpr = $2 }
        /^    \.sgpr_count:/ { sgpr = $2 }
        /^    \.vgpr_spill_count:/ { vgpr_spills = $2 }
        /^    \.sgpr_spill_count:/ { sgpr_spills = $2 }
        /group_segment_fixed_size:/ { shared = $2 }
        /private_segment_fixed_size:/ { private = $2 }
        /^    \.wavefront_size:/ {
            print name, vgpr, sgpr, vgpr_spills, sgpr_spills, shared, private
        }'
}

# One line a kernel: name, instructions, dot products, 16-byte loads, other loads. On gfx9 memory is
# loaded by dwords, later by b and bits; what lies in shared memory, and scalars, are not counted.
instructions() { # OBJECT
    "$objdump" -d --no-show-raw-insn "$1" | awk '
        function flush() { if (name != "") print name, all, dots, wide, narrow }
        /^[0-9a-f]+ <.*>:$/ {
            flush()
            name = substr($2, 2, length($2) - 3); all = dots = wide = narrow = 0
            next
        }
        /^\t/ {
            all++
            if ($1 ~ /^v_dot4/) dots++
            else if ($1 ~ /^(global|flat|buffer)_load_(dwordx4|b128)/) wide++
            else if ($1 ~ /^(global|flat|buffer)_load/) narrow++
        }
        END { flush() }'
}

table_of() { # OBJECT
    printf '\n**%s**\n\n' "$(basename "$1" .co)"
    printf '| kernel | VGPRs | SGPRs | spills V, S | shared | instructions | dot4 | 16-byte loads | other loads |\n'
    printf '|---|---|---|---|---|---|---|---|---|\n'
    join <(registers "$1" | sort) <(instructions "$1" | sort) |
        awk -v pattern="^($pattern)\$" '$1 ~ pattern {
            printf "| %s | %d | %d | %d, %d | %d | %d | %d | %d | %d |\n",
                $1, $2, $3, $4, $5, $6, $8, $9, $10, $11 }'
}

spills_of() { # OBJECT
    registers "$1" | awk -v object="$(basename "$1" .co)" '$4 > 0 || $7 > 0 {
        printf "%s %s: %d vector registers spilled, %d bytes of its own\n", object, $1, $4, $7 }'
}

for object in "$@"; do
    table_of "$object"
done
echo
for object in "$@"; do
    spills_of "$object"
done | awk '{ print } END { printf "%d kernels spill\n", NR }'
