#!/usr/bin/env python3
"""Conversations for every family of chat templates, one JSON object a line.

`template` is of our own making, with the signs by which a file's own one is recognised; `theirs` is
llama.cpp's name of the family, `vocabulary` one of its vocabulary files that has the family's tokens,
null where none has.
"""

import json

GEMMA = "{{ bos_token }}{{ '<start_of_turn>' + role + '\n' + text | trim + '<end_of_turn>\n' }}"
LLAMA3 = ("{{ bos_token }}{{ '<|start_header_id|>' + role + '<|end_header_id|>\n\n' + text | trim "
          "+ '<|eot_id|>' }}")
PHI3 = "{{ bos_token }}{{ '<|user|>\n' + text + '<|end|>\n' }}{{ '<|assistant|>\n' }}"
CHATML = "{{ '<|im_start|>' + role + '\n' + text + '<|im_end|>\n' }}"
V0 = "{{ bos_token }}{{ '[INST] ' + message['content'] + ' [/INST]' }}{{ text + eos_token }}"

FAMILIES = [
    # ours, theirs, vocabulary, template
    ("chatml", "chatml", "qwen2", CHATML),
    ("phi4", "phi4", None, "{{ '<|im_start|>' + role + '<|im_sep|>' + text + '<|im_end|>' }}"),
    ("llama3", "llama3", "llama-bpe", LLAMA3),
    ("gemma", "gemma", None, GEMMA),
    ("phi3", "phi3", "phi-3", PHI3),
    ("mistral-v7", "mistral-v7", None,
     "{{ '[SYSTEM_PROMPT] ' + s + '[/SYSTEM_PROMPT]' }}{{ '[INST] ' + text + '[/INST]' }}"),
    ("mistral-v7-tekken", "mistral-v7-tekken", None,
     "{{ '[SYSTEM_PROMPT]' + s + '[/SYSTEM_PROMPT]' }}{{ '[INST]' + text + '[/INST]' }}"),
    ("mistral-v1", "mistral-v1", "llama-spm",
     "{{ bos_token }}{{ ' [INST] ' + system_message + text + ' [/INST]' }}"),
    ("mistral-v3", "mistral-v3", None,
     "{{ '[AVAILABLE_TOOLS] ' }}{{ \"[INST] \" + text + \"[/INST]\" }}"),
    ("mistral-v3-tekken", "mistral-v3-tekken", None,
     "{{ '[AVAILABLE_TOOLS]' }}{{ \"[INST]\" + text + \"[/INST]\" }}"),
    ("llama2", "llama2-sys-strip", "llama-spm",
     "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{{ '<<SYS>>' }}"),
    ("mistral-v0", "llama2", "llama-spm", V0),
]


def turns(*texts):
    roles = {"S": "system", "U": "user", "A": "assistant"}
    return [{"role": roles[text[0]], "content": text[1:]} for text in texts]


CHATS = [
    turns("UHi"),
    turns("U"),
    turns("U  \n\nTell me, please.  \n"),
    turns("SYou are brief.", "UHi"),
    turns("S  Mind the blanks. \n", "U Hi ", "A  Hello \n", "Uand now?"),
    turns("UHi", "AHello, world!", "UHow are you?", "AWell, thanks.\n", "U\tGood\n"),
    turns("SWas ist das?", "UNaïve café, 世界 🚀", "Aint main(void)\n{\n\treturn 0;\n}\n", "U1234567"),
]


def main():
    for family, theirs, vocabulary, template in FAMILIES:
        for messages in CHATS:
            print(json.dumps({"family": family, "theirs": theirs, "vocabulary": vocabulary,
                              "template": template, "messages": messages}))


if __name__ == "__main__":
    main()
