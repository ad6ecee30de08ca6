#!/usr/bin/env python3
"""Reads the metrics of rbeed on stdin as strictly as the format is written, and prints a value.

    metrics_check.py                     checks; prints how many metrics there are
    metrics_check.py NAME [LABEL=VALUE…] the value of the one series of NAME that has those labels
    metrics_check.py --sum NAME [LABEL=VALUE…]  of all of them

Format 0.0.4 of Prometheus, and what is more than that: each metric has HELP and TYPE, once and in
this order, before its samples, which stand together; no series twice; histograms are cumulative and
complete; counters are called _total, and nothing else is. Standard library only.
"""

import math
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")
NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?)|[-+]?Inf|NaN")
TYPES = {"counter", "gauge", "histogram", "untyped"}


def refuse(number, text, why):
    sys.exit(f"line {number}: {why}: {text}")


def unescape(text):
    return re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), text)


class Family:
    def __init__(self, name):
        self.name = name
        self.type = None
        self.samples = []  # name, labels, value

    def takes(self, name):
        if self.type == "histogram":
            return name in {f"{self.name}_{end}" for end in ("bucket", "sum", "count")}
        return name == self.name


def read(text):
    families, current, seen = {}, None, set()
    if text and not text.endswith("\n"):
        sys.exit("the last line has no end")
    for number, line in enumerate(text.split("\n")[:-1], 1):
        if line.startswith("# HELP "):
            match = re.fullmatch(rf"# HELP ({NAME}) ((?:[^\\\n]|\\[\\n])*)", line)
            if not match or match[1] in families:
                refuse(number, line, "no help, or a second one")
            current = families[match[1]] = Family(match[1])
        elif line.startswith("# TYPE "):
            match = re.fullmatch(rf"# TYPE ({NAME}) (\w+)", line)
            if not match or match[2] not in TYPES or not current or current.name != match[1] \
                    or current.type:
                refuse(number, line, "no type in its place")
            current.type = match[2]
        else:
            read_sample(number, line, current, seen)
    return families


def read_sample(number, line, family, seen):
    match = SAMPLE.fullmatch(line)
    if not match or not NUMBER.fullmatch(match[match.re.groups]):
        refuse(number, line, "no sample")
    if not family or not family.type or not family.takes(match[1]):
        refuse(number, line, "a sample outside its metric")
    labels = [(key, unescape(value)) for key, value in re.findall(LABEL, match[2] or "")]
    key = (match[1], frozenset(labels))
    if key in seen or len(dict(labels)) != len(labels):
        refuse(number, line, "a second time")
    seen.add(key)
    family.samples.append((match[1], dict(labels), float(match[match.re.groups])))


def check(family):
    if not family.type:
        sys.exit(f"{family.name} has no type")
    if family.name.endswith("_total") != (family.type == "counter"):
        sys.exit(f"{family.name} is a {family.type}")
    if family.type in ("counter", "histogram") and any(v < 0 for _, _, v in family.samples):
        sys.exit(f"{family.name} is below 0")
    if family.type == "histogram":
        check_histogram(family)


def check_histogram(family):
    buckets = [(float(labels["le"]), value) for name, labels, value in family.samples
               if name.endswith("_bucket")]
    values = {name: value for name, labels, value in family.samples if "le" not in labels}
    if buckets != sorted(buckets) or len(dict(buckets)) != len(buckets):
        sys.exit(f"{family.name}: its buckets do not rise")
    if not buckets or buckets[-1][0] != math.inf:
        sys.exit(f"{family.name} has no bucket without end")
    if set(values) != {family.name + "_sum", family.name + "_count"} or \
            values[family.name + "_count"] != buckets[-1][1]:
        sys.exit(f"{family.name}: sum or count is missing or wrong")


def main(args):
    families = read(sys.stdin.read())
    for family in families.values():
        check(family)
    is_sum = args[:1] == ["--sum"]
    args = args[is_sum:]
    if not args:
        print(len(families))
        return
    wanted = dict(arg.split("=", 1) for arg in args[1:])
    values = [value for family in families.values() for name, labels, value in family.samples
              if name == args[0] and wanted.items() <= labels.items()]
    if not is_sum and len(values) != 1:
        sys.exit(f"{len(values)} series of {' '.join(args)}")
    print(f"{sum(values):g}")


if __name__ == "__main__":
    main(sys.argv[1:])
