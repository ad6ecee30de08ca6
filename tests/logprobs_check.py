#!/usr/bin/env python3
"""What must hold of an answer with log-probabilities, whatever the model said.

usage: logprobs_check.py WHOLE STREAM TOP

WHOLE is an answer in one piece, STREAM the events of the same answer, TOP how many of the likeliest
were asked for. Prints how many tokens there are.
"""
import json
import math
import sys

ROUNDING = 1e-9  # fifteen digits of each of at most 21 numbers


def read_stream(path):
    with open(path, encoding="utf-8") as lines:
        events = [line[len("data: "):] for line in lines if line.startswith("data: ")]
    return [json.loads(event) for event in events if event.strip() != "[DONE]"]


def text_of(said):
    """As an answer has it: NUL is in no JSON of ours."""
    return said.decode(errors="replace").replace("\0", "\ufffd")


def check_token(token, top):
    assert set(token) == {"token", "bytes", "id", "logprob", "top"}, token
    logprobs = [other["logprob"] for other in token["top"]]
    assert len(logprobs) == top, token
    assert logprobs == sorted(logprobs, reverse=True), token
    assert all(number <= 0 for number in logprobs + [token["logprob"]]), token
    assert sum(math.exp(number) for number in logprobs) <= 1 + ROUNDING, token
    assert top == 0 or token["logprob"] <= logprobs[0], token
    for other in [token] + token["top"]:
        assert other["token"] == text_of(bytes(other["bytes"])), other
        same = [seen for seen in token["top"] if seen["id"] == other["id"]]
        assert all(seen["logprob"] == other["logprob"] for seen in same), token


def check_text(answer):
    """The tokens are the text, and at a stop string none is told of which nothing is seen."""
    pieces = [bytes(token["bytes"]) for token in answer["logprobs"]]
    said = b"".join(pieces)
    count = answer["usage"]["completion_tokens"]
    if answer["stop_reason"] == "stop_string":
        assert text_of(said).startswith(answer["text"]), answer
        # without its last token it is not all there, and what completed the stop string is not told
        assert len(text_of(b"".join(pieces[:-1]))) < len(answer["text"]) or pieces == [], answer
        assert len(pieces) < count or text_of(said) != answer["text"], answer
    else:
        assert text_of(said) == answer["text"], answer
        assert len(pieces) == count, answer


def check_stream(events, answer):
    told = [event for event in events if event["type"] == "token"]
    assert all(len(event["logprobs"]) == 1 for event in told)
    assert [event["i"] for event in told] == list(range(len(told)))
    assert "".join(event["t"] for event in told) == answer["text"]
    assert [token for event in told for token in event["logprobs"]] == answer["logprobs"]
    assert events[-1]["type"] == "end" and events[-1]["usage"] == answer["usage"]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        answer = json.load(file)
    for token in answer["logprobs"]:
        check_token(token, int(sys.argv[3]))
    check_text(answer)
    check_stream(read_stream(sys.argv[2]), answer)
    print(len(answer["logprobs"]))


main()
