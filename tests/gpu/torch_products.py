#!/usr/bin/env python3
"""What torch reaches on the products of a prompt: half floats, the matrices of a layer that is shaped
as those of 7B models are. Prints TFLOP/s; nothing, and status 1, where torch or a GPU is not there.

    torch_products.py [ROWS]
"""

import sys

# Columns and rows of q, k, v, output, gate, up and down.
SHAPES = [(4096, 4096), (4096, 1024), (4096, 1024), (4096, 4096), (4096, 14336), (4096, 14336), (14336, 4096)]
ROUNDS = 20


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 512
    try:
        import torch
    except ImportError:
        return 1
    if not torch.cuda.is_available():
        return 1
    inputs = {columns: torch.randn(rows, columns, dtype=torch.half, device="cuda") for columns, _ in SHAPES}
    weights = [torch.randn(columns, width, dtype=torch.half, device="cuda") for columns, width in SHAPES]
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    for timed in (False, True):
        begin.record()
        for _ in range(ROUNDS if timed else 3):
            for (columns, _), weight in zip(SHAPES, weights):
                inputs[columns] @ weight
        end.record()
        torch.cuda.synchronize()
    operations = 2 * rows * ROUNDS * sum(columns * width for columns, width in SHAPES)
    print(f"{operations / (begin.elapsed_time(end) / 1e3) / 1e12:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
