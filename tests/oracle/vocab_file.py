#!/usr/bin/env python3
"""Writes the metadata of a GGUF file alone, without tensors, with some texts replaced.

usage: vocab_file.py MODEL.gguf OUT.gguf [KEY=TEXT...]

For pre-types that no vocabulary at hand has: another one's tokens with this one's name are as good
to compare how two programs cut a text. Format: gguf.md.
"""

import struct
import sys

STRING, ARRAY = 8, 9
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def unpack(self, layout):
        values = struct.unpack_from(layout, self.data, self.at)
        self.at += struct.calcsize(layout)
        return values

    def text(self):
        (length,) = self.unpack("<Q")
        self.at += length
        return self.data[self.at - length:self.at]

    def skip_value(self, kind):
        if kind == STRING:
            self.text()
        elif kind == ARRAY:
            element, count = self.unpack("<IQ")
            if element in SIZES:
                self.at += count * SIZES[element]
                return
            for _ in range(count):
                self.skip_value(element)
        else:
            self.at += SIZES[kind]


def text_entry(key, text):
    return (struct.pack("<Q", len(key)) + key + struct.pack("<IQ", STRING, len(text)) + text)


def rewritten(data, texts):
    """The file with these texts, {key: text}."""
    reader = Reader(data)
    magic, version, _, entry_count = reader.unpack("<4sIQQ")
    assert magic == b"GGUF" and version >= 2
    entries = []
    for _ in range(entry_count):
        begin = reader.at
        key = reader.text()
        (kind,) = reader.unpack("<I")
        reader.skip_value(kind)
        if key not in texts:
            entries.append(data[begin:reader.at])
    entries += [text_entry(key, text) for key, text in texts.items()]
    return struct.pack("<4sIQQ", magic, version, 0, len(entries)) + b"".join(entries)


def main():
    source, target, *replaced = sys.argv[1:]
    with open(source, "rb") as file:
        data = file.read()
    texts = dict(item.encode().split(b"=", 1) for item in replaced)
    with open(target, "wb") as file:
        file.write(rewritten(data, texts))


if __name__ == "__main__":
    main()
