#!/usr/bin/env python3
"""Texts that a tokenizer may cut wrongly, one JSON string a line, the same on every run.

usage: tokenizer_inputs.py [COUNT [SEED [WORD...]]]

WORDs, a vocabulary's special tokens, are put into every other text.

Knows nothing of any vocabulary. Code points that have no meaning in Unicode 14 (what PCRE2 10.42
knows) are left out: tokenizers disagree on them, each by the age of its tables.
"""

import json
import random
import sys
import unicodedata

HAND_WRITTEN = [
    "",
    " ",
    "  ",
    "   ",
    "\t",
    "\n",
    "\n\n",
    "\n\n\n",
    "\r\n",
    "\r\n\r\n",
    "\t\n",
    " \n \n",
    "Hello world",
    " Hello world",
    "Hello  world",
    "Hello World!",
    " Hello, world! ",
    "tabs\tand\t\tmore tabs\t",
    "trailing spaces   ",
    "   leading spaces",
    "line\n  indented\n    more\n\nend",
    "Windows\r\nlines\r\n\r\n  indented\r\n",
    "I'm sure you'll say we've done what they'd do; it's hers, isn't it? you're",
    "I'M SURE YOU'LL SAY WE'VE DONE WHAT THEY'D DO; IT'S HERS, ISN'T IT? YOU'RE",
    "' s 't 'sx 'tis 'd'd'd ''s don''t",
    "3 33 333 3333 33333 333333 3333333",
    "1,234,567.89 and 0x1F and 1e-10 and 12:34:56 on 2026-11-21",
    "3x 4y5z6 a1b2c3 x86_64 utf-8 v1.2.3-rc4",
    "½ ² Ⅷ ٣٤٥ ४५६ 一二三 ①②③",
    "!@#$%^&*()_+-=[]{}|;:,.<>?/~`\\\"'",
    "!!! ... ??? --- === *** ### $$$ %%% &&&",
    "(a)[b]{c}<d>\"e\"'f'`g`",
    "http://example.org:8080/a/b?c=d&e=f#g mail@example.org",
    "int main(void)\n{\n\treturn printf(\"%d\\n\", 42) != 3;\n}\n",
    "for i in range(10):\n    if i % 2 == 0:\n        print(f\"{i:>4}\")\n",
    "SELECT * FROM t WHERE a >= 3 AND b <> 'x''y'; -- comment",
    "<html><body class=\"x\">&nbsp;</body></html>",
    "{\"key\": [1, 2.5, null, true], \"nested\": {\"a\": \"b\"}}",
    "camelCase snake_case SCREAMING_SNAKE kebab-case PascalCase",
    "naïve café Ångström façade œuvre straße",
    "cafe\u0301 n\u0303 o\u0308 a\u0300\u0323",
    "Привет, мир! Как дела?",
    "Γειά σου Κόσμε",
    "שלום עולם",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "你好，世界！今天天气很好。",
    "こんにちは世界。カタカナとひらがな",
    "안녕하세요 세계",
    "Tiếng Việt có nhiều dấu",
    "🚀🎉😀",
    "👨‍👩‍👧‍👦 👩🏽‍💻 🏳️‍🌈 🇩🇪🇫🇷",
    "a🚀b 🚀 c🚀🚀",
    "①②③ ™ © ® € £ ¥ § ¶ † ‡ • … ‰",
    "∀x∈ℝ: ∃y ≥ x² ⇒ ∑ᵢ∞",
    "\u00a0nbsp\u00a0\u00a0two \u2003em\u3000ideographic \u2028line\u2029para \u0085next",
    "\u180emongolian\u180e\u180ex \u200bzero\u200b width\ufeff",
    "\u000bvertical\u000cfeed\u001cfs\u001dgs\u001f",
    "\u0001\u0002\u0007\u0008\u007f\u0080\u009f",
    "\u202eright to left\u202c \u2066iso\u2069",
    "\ufffd\ufffe\U000e0001\U000e0020",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟏𝟐𝟑 𐍈 𠜎𠜱",
    "<|im_start|>user\nhi<|im_end|>\n",
    "<|endoftext|><|im_end|> <|im_ end|> <|im_end|",
    "<s></s><unk><pad>[INST] [/INST]",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    " " * 64 + "x",
    "\n" * 33 + "x",
    "=" * 80,
    "-" * 79 + "\n",
    "0" * 50,
    "QmFzZTY0IGlzIGEgd2F5IHRvIHdyaXRlIGJ5dGVzIGFzIHRleHQ=",
    "3b1f9c0de2a7458b9f60",
    "Das Donaudampfschiffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
]

WORDS = """the of and a to in is you that it he was for on are as with his they I at be this have
from or one had by word but not what all were we when your can said there use an each which she do
how their if will up other about out many then them these so some her would make like him into time
has look two more write go see number no way could people my than first water been call who oil its
now find long down day did get come made may part Paris GPU kernel struct uint32_t malloc() NULL
printf std::vector lambda x == != <= >= && || -> => :: // /* */ #include import def return""".split()

RANGES = [
    (0x20, 0x7E), (0x20, 0x7E), (0x20, 0x7E), (0x00, 0x1F), (0x80, 0xFF), (0x100, 0x24F),
    (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x6FF), (0x900, 0x97F),
    (0xE00, 0xE7F), (0x1100, 0x11FF), (0x1E00, 0x1EFF), (0x2000, 0x206F), (0x20A0, 0x20BF),
    (0x2100, 0x218F), (0x2190, 0x22FF), (0x2460, 0x24FF), (0x2600, 0x27BF), (0x3000, 0x30FF),
    (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xFE00, 0xFE0F), (0xFF00, 0xFFEF), (0x10000, 0x1FFFF),
    (0x1F300, 0x1FAFF), (0x20000, 0x2A6DF), (0xE0100, 0xE01EF), (0x100, 0xFFFD),
]

SPACES = [" ", " ", " ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", " \n", "\n ", "\u00a0", "\u3000",
          "\u2003", "\u0085", "\u000b"]
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Ve", "'lL", "'x"]
EMOJI = ["😀", "👩🏽", "\u200d", "👨", "👩", "👧", "❤️", "🇩🇪", "🏴\U000e0067\U000e007f", "🚀", "1️⃣"]


def is_known(char):
    """Assigned in Unicode 14, and no surrogate. NUL ends texts in too many programs."""
    return char != "\0" and unicodedata.category(char) not in ("Cn", "Cs")


def one_of_range(rng):
    while True:
        low, high = rng.choice(RANGES)
        char = chr(rng.randint(low, high))
        if is_known(char):
            return char


def script_run(rng):
    low, high = rng.choice(RANGES)
    chars = (chr(rng.randint(low, high)) for _ in range(rng.randint(1, 12)))
    return "".join(char for char in chars if is_known(char))


def make_piece(rng):
    kind = rng.randrange(11)
    if kind == 0:
        return rng.choice(SPACES) * rng.choice([1, 1, 1, 2, 3, 7])
    if kind == 1:
        return "".join(rng.choice("0123456789") for _ in range(rng.randint(1, 9)))
    if kind == 2:
        return rng.choice(WORDS) + rng.choice(CONTRACTIONS)
    if kind == 3:
        return "".join(rng.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
                       for _ in range(rng.randint(1, 6)))
    if kind == 4:
        return "".join(rng.choice(EMOJI) for _ in range(rng.randint(1, 4)))
    if kind == 5:
        return one_of_range(rng) + "".join(chr(rng.randint(0x300, 0x36F))
                                           for _ in range(rng.randint(0, 3)))
    if kind == 6:
        return script_run(rng)
    if kind == 7:
        return "".join(one_of_range(rng) for _ in range(rng.randint(1, 5)))
    return rng.choice(["", " ", " ", " "]) + rng.choice(WORDS)


def with_words(text, words, rng):
    for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
        at = rng.randint(0, len(text))
        text = text[:at] + rng.choice(["", "", " ", "\n"]) + rng.choice(words) + text[at:]
    return text


def main():
    assert unicodedata.unidata_version.startswith("14."), "wants Python 3.11: Unicode 14"
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    texts = HAND_WRITTEN + ["".join(make_piece(rng) for _ in range(rng.randint(1, 7)))
                            for _ in range(count)]
    words = sys.argv[3:]
    for text in texts:
        print(json.dumps(with_words(text, words, rng) if words else text))


if __name__ == "__main__":
    main()
