#!/usr/bin/env python3
"""Cuts a GGUF file into parts as gguf-split does: split_gguf.py FILE PREFIX COUNT writes
PREFIX-00001-of-0000N.gguf and so on. Metadata are in the first part, tensors are dealt out in order."""

import struct
import sys

SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
TEXT, ARRAY, U16, I32 = 8, 9, 2, 5
ALIGNMENT = 32


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def skip_text(self):
        self.take(self.number("Q"))

    def skip_value(self, kind):
        if kind == TEXT:
            self.skip_text()
        elif kind == ARRAY:
            inner = self.number("I")
            for _ in range(self.number("Q")):
                self.skip_value(inner)
        else:
            self.take(SCALARS[kind])


def text(words):
    return struct.pack("<Q", len(words)) + words.encode()


def pad(data):
    return data + bytes(-len(data) % ALIGNMENT)


def read_tensors(reader, count):
    """(name, dimensions and type, offset) of each."""
    tensors = []
    for _ in range(count):
        begin = reader.at
        reader.skip_text()
        name = reader.data[begin:reader.at]
        begin = reader.at
        reader.take(8 * reader.number("I") + 4)
        tensors.append((name, reader.data[begin:reader.at], reader.number("Q")))
    return tensors


def split_keys(index, count, tensor_count):
    return (text("split.no") + struct.pack("<IH", U16, index) + text("split.count")
            + struct.pack("<IH", U16, count) + text("split.tensors.count")
            + struct.pack("<Ii", I32, tensor_count))


def write_part(path, entries, entry_count, tensors):
    infos, data = b"", b""
    for name, shape, content in tensors:
        infos += name + shape + struct.pack("<Q", len(data))
        data += pad(content)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), entry_count) + entries + infos
    with open(path, "wb") as part:
        part.write(pad(head) + data)


def main(source, prefix, parts):
    with open(source, "rb") as file:
        reader = Reader(file.read())
    reader.take(8)
    tensor_count, entry_count = reader.number("Q"), reader.number("Q")
    begin = reader.at
    for _ in range(entry_count):
        reader.skip_text()
        reader.skip_value(reader.number("I"))
    entries = reader.data[begin:reader.at]
    tensors = read_tensors(reader, tensor_count)
    content = reader.data[reader.at + -reader.at % ALIGNMENT:]
    ends = sorted(offset for _, _, offset in tensors)[1:] + [len(content)]
    end_of = dict(zip(sorted(offset for _, _, offset in tensors), ends))
    tensors = [(name, shape, content[offset:end_of[offset]]) for name, shape, offset in tensors]
    for index in range(parts):
        share = tensors[index * tensor_count // parts:(index + 1) * tensor_count // parts]
        keys = split_keys(index, parts, tensor_count)
        write_part(f"{prefix}-{index + 1:05}-of-{parts:05}.gguf", (entries if index == 0 else b"") + keys,
                   (entry_count if index == 0 else 0) + 3, share)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
