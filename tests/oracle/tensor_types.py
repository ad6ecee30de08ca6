"""Compares the plain readers of the tensor types with those of the Python package gguf.

    tensor_types.py DECODE_BLOCKS [SEED]

For each type that DECODE_BLOCKS --list names: random blocks (every byte random, so scales are also
subnormal, infinite and NaN), read by both, and compared bit for bit; any NaN equals any other.
Prints a line a type; exit 1 when one differs.
"""
import subprocess
import sys

import gguf
import numpy

BLOCKS = 20000


def floats_of(tool, type_name, blocks):
    raw = subprocess.run([tool, type_name], input=blocks.tobytes(), stdout=subprocess.PIPE, check=True).stdout
    return numpy.frombuffer(raw, dtype=numpy.float32)


def compare(tool, type_name, block_bytes, generator):
    """A line about the type, and whether both agree."""
    blocks = generator.integers(0, 256, size=(BLOCKS, block_bytes), dtype=numpy.uint8)
    with numpy.errstate(all="ignore"):  # infinities and NaN are part of the input
        theirs = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[type_name])
    theirs = theirs.astype(numpy.float32).reshape(-1)
    ours = floats_of(tool, type_name, blocks)
    same = (ours.view(numpy.uint32) == theirs.view(numpy.uint32)) | (numpy.isnan(ours) & numpy.isnan(theirs))
    finite = numpy.isfinite(ours) & numpy.isfinite(theirs)
    apart = numpy.abs(ours[finite].astype(float) - theirs[finite].astype(float))
    largest = float(numpy.max(apart / numpy.maximum(numpy.abs(theirs[finite].astype(float)), 1e-30)))
    line = f"{type_name}: {ours.size} numbers, {numpy.count_nonzero(~same)} not bit for bit the same"
    if not same.all():
        line += f", largest relative difference {largest:.1e}"
    return line, bool(same.all())


def main():
    tool = sys.argv[1]
    generator = numpy.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    listed = subprocess.run([tool, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout
    all_same = True
    for row in listed.splitlines():
        type_name, block_bytes = row.split()
        line, is_same = compare(tool, type_name, int(block_bytes), generator)
        print(line)
        all_same = all_same and is_same
    sys.exit(0 if all_same else 1)


main()
