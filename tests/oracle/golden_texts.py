#!/usr/bin/env python3
"""The texts of llama.cpp's golden files (ggml-vocab-NAME.gguf.inp), each once, one JSON string a line.

usage: golden_texts.py FILE.inp...
"""

import json
import sys

SEPARATOR = "\n__ggml_vocab_test__\n"


def main():
    texts = {}
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8", newline="") as file:
            texts.update(dict.fromkeys(file.read().split(SEPARATOR)))
    assert texts, "no golden texts"
    for text in texts:
        print(json.dumps(text))


if __name__ == "__main__":
    main()
