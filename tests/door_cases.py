"""Requests that are no requests, each with what it tries. door.py sends them to a whole supervisor and
to a worker; what the door itself says to each kind is tests/unit/test_http_door.c's to walk.

Behind most of them comes a second request, smuggled where two readers disagree about where the first
one ends: it must never be executed."""

HOST = b"Host: x\r\n"


def smuggled(command):
    return b"POST %s HTTP/1.1\r\n%sContent-Length: 2\r\n\r\n{}" % (command, HOST)


# Two statements about the length of a body, or one that readers take differently.
FRAMINGS = [
    (b"Content-Length: 5\r\nTransfer-Encoding: chunked", "length and chunked"),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 5", "chunked and length"),
    (b"Content-Length: 0\r\nTransfer-Encoding: chunked", "no length and chunked"),
    (b"Content-Length: 5\r\nContent-Length: 5", "the same length twice"),
    (b"Content-Length: 5\r\nContent-Length: 50", "two lengths"),
    (b"Content-Length: 5, 5", "a list of lengths"),
    (b"Content-Length: 5,50", "a list of two lengths"),
    (b"Content-Length: +5", "a plus"),
    (b"Content-Length: -5", "a minus"),
    (b"Content-Length: 0x5", "hexadecimal"),
    (b"Content-Length: 5 0", "a blank in a number"),
    (b"Content-Length: 5;", "a number and more"),
    (b"Content-Length: 5_0", "digits of a language"),
    (b"Content-Length: \xef\xbc\x95", "a wide five"),
    (b"Content-Length:", "no number"),
    (b"Content-Length: 5.0", "a fraction"),
    (b"Content-Length: 18446744073709551621", "2^64 + 5"),
    (b"Content-Length: " + b"9" * 300, "300 digits"),
    (b"Content-Length : 5", "a blank before the colon"),
    (b"Content-Length\t: 5", "a tab before the colon"),
    (b" Content-Length: 5", "folded into nothing"),
    (b"Content-Length:\r\n 5", "a folded length"),
    (b"X: y\nContent-Length: 5", "a line that ends in LF"),
    (b"X: y\rContent-Length: 5", "a line that ends in CR"),
    (b"Content-Length: 5\x00", "NUL behind it"),
    (b"Content-\x00Length: 5", "NUL within it"),
    (b"Transfer-Encoding: xchunked", "nearly chunked"),
    (b"Transfer-Encoding: chunked, identity", "chunked is not the last"),
    (b"Transfer-Encoding: identity, chunked", "identity first"),
    (b"Transfer-Encoding: gzip, chunked", "packed and chunked"),
    (b"Transfer-Encoding: chunked, chunked", "chunked twice"),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "chunked twice, in two lines"),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "two codings"),
    (b"Transfer-Encoding: chunked;q=1", "a parameter"),
    (b"Transfer-Encoding: \"chunked\"", "quoted"),
    (b"Transfer-Encoding: chunked\x0b", "a vertical tab behind it"),
    (b"Transfer-Encoding: \x0cchunked", "a form feed before it"),
    (b"Transfer-Encoding: chun\r\n ked", "folded"),
    (b"Transfer-Encoding:\r\n chunked", "folded at once"),
    (b"Transfer-Encoding : chunked", "a blank before the colon"),
    (b"Transfer-Encoding\x00: chunked", "NUL before the colon"),
    (b"Transfer-Encoding: chunked\x00", "NUL behind it"),
    (b"Transfer-Encoding:", "no coding"),
    (b"Transfer-Encoding: ,chunked", "an empty coding first"),
    (b"X: y\nTransfer-Encoding: chunked", "a line that ends in LF"),
    (b"X: y\rTransfer-Encoding: chunked", "a line that ends in CR"),
    (b": y\r\nTransfer-Encoding: chunked", "a header without a name"),
    (b"X\r\nTransfer-Encoding: chunked", "a header without a colon"),
    (b"X y: z\r\nTransfer-Encoding: chunked", "a name of two words"),
    (b"X(y): z\r\nTransfer-Encoding: chunked", "a name with brackets"),
    (b"X: \x01\r\nTransfer-Encoding: chunked", "a control character"),
    (b"X: \x7f\r\nTransfer-Encoding: chunked", "DEL"),
]

# First lines; {} stands for the path.
FIRST_LINES = [
    (b"POST  {} HTTP/1.1\r\n", "two blanks"),
    (b" POST {} HTTP/1.1\r\n", "a blank first"),
    (b"POST\t{}\tHTTP/1.1\r\n", "tabs"),
    (b"POST {} HTTP/1.1 \r\n", "a blank last"),
    (b"POST {} HTTP/1.1\n", "LF"),
    (b"POST {} HTTP/1.1\r", "CR"),
    (b"POST {}\r\n", "no version"),
    (b"POST {} HTTP/1.10\r\n", "version 1.10"),
    (b"POST {} HTTP/01.1\r\n", "version 01.1"),
    (b"POST {} HTTP/1,1\r\n", "version 1,1"),
    (b"POST {} http/1.1\r\n", "small letters"),
    (b"POST {} HTTP/0.9\r\n", "version 0.9"),
    (b"POST {} HTTP/3.0\r\n", "version 3.0"),
    (b"post {} HTTP/1.1\r\n", "a method in small letters"),
    (b"P\x00ST {} HTTP/1.1\r\n", "NUL in the method"),
    (b"POST http://x{} HTTP/1.1\r\n", "absolute form"),
    (b"POST x:80 HTTP/1.1\r\n", "authority form"),
    (b"POST {}#x HTTP/1.1\r\n", "a fragment"),
    (b"POST {}\x00 HTTP/1.1\r\n", "NUL in the target"),
    (b"POST {}%00 HTTP/1.1\r\n", "%00 in the target"),
    (b"POST {}\xff HTTP/1.1\r\n", "a byte that is not ASCII"),
    (b"POST {}/../v1/status HTTP/1.1\r\n", "a dot segment"),
    (b"POST {}/%2e%2e/status HTTP/1.1\r\n", "an escaped dot segment"),
    (b"POST {}%2fx HTTP/1.1\r\n", "an escaped slash"),
    (b"POST {}%zz HTTP/1.1\r\n", "a bad escape"),
    (b"POST {}\\x HTTP/1.1\r\n", "a backslash"),
    (b"\r\n\r\nPOST {} HTTP/1.1\r\n", "two empty lines first"),
]

# Bodies in chunks that are not.
CHUNKS = [
    (b"0x2\r\n{}\r\n0\r\n\r\n", "a size with 0x"),
    (b"+2\r\n{}\r\n0\r\n\r\n", "a plus"),
    (b"-2\r\n{}\r\n0\r\n\r\n", "a minus"),
    (b" 2\r\n{}\r\n0\r\n\r\n", "a blank before the size"),
    (b"2 \r\n{}\r\n0\r\n\r\n", "a blank behind the size"),
    (b"g\r\n{}\r\n0\r\n\r\n", "no hexadecimal"),
    (b"\r\n{}\r\n0\r\n\r\n", "no size"),
    (b"2\n{}\r\n0\r\n\r\n", "LF behind the size"),
    (b"2\r{}\r\n0\r\n\r\n", "CR behind the size"),
    (b"2\r\n{}0\r\n\r\n", "no line end behind the data"),
    (b"2\r\n{}\n0\r\n\r\n", "LF behind the data"),
    (b"2\r\n{}}\r\n0\r\n\r\n", "more data than the size says"),
    (b"2;a\x00b\r\n{}\r\n0\r\n\r\n", "NUL in an extension"),
    (b"2;a\nb\r\n{}\r\n0\r\n\r\n", "LF in an extension"),
    (b"2;" + b"a" * 20000 + b"\r\n{}\r\n0\r\n\r\n", "an extension of 20 KB"),
    (b"0" * 20000 + b"2\r\n{}\r\n0\r\n\r\n", "20,000 zeros before the size"),
    (b"10000000000000000\r\n{}\r\n0\r\n\r\n", "a size of 2^64"),
    (b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n", "a size of 68 bits"),
    (b"ffffffffffffffff\r\n{}\r\n0\r\n\r\n", "a size of 2^64 - 1"),
    (b"7fffffffffffffff\r\n{}\r\n0\r\n\r\n", "a size of 2^63 - 1"),
    (b"2\r\n{}\r\n0\r\nno trailer\r\n\r\n", "a trailer without a colon"),
    (b"2\r\n{}\r\n0\r\nX : y\r\n\r\n", "a trailer with a blank before its colon"),
    (b"2\r\n{}\r\n0\r\nX: y\n\r\n", "a trailer that ends in LF"),
    (b"2\r\n{}\r\n0\r\nX: \x00\r\n\r\n", "a trailer with NUL"),
    (b"2\r\n{}\r\n0\r\nX: y\r\n z\r\n\r\n", "a folded trailer"),
    (b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 1000 + b"\r\n", "a thousand trailers"),
    (b"2\r\n{}\r\n0\r\nX: " + b"y" * 20000 + b"\r\n\r\n", "a trailer of 20 KB"),
]

TOO_LARGE = [
    ([b"A: " + b"a" * (16 * 1024)], 431, "HEAD_TOO_LARGE", "a header of 16 KiB"),
    ([b"A: " + b"a" * 400] * 42, 431, "HEAD_TOO_LARGE", "a head of 16 KiB"),
    ([b"A: a"] * 64, 431, "HEAD_TOO_LARGE", "65 headers"),
    ([b"X-" + b"a" * 17000 + b": a"], 431, "HEAD_TOO_LARGE", "a name of 17 KB"),
]


def all_of_them(path, command, more_headers=b""):
    """(bytes, note) of every request that must be answered with 4xx or 5xx and a closed connection."""
    behind = smuggled(command)
    for framing, note in FRAMINGS:
        yield (b"POST %s HTTP/1.1\r\n%s%s%s\r\n\r\n0\r\n\r\n%s" %
               (path, HOST, more_headers, framing, behind), note)
    for line, note in FIRST_LINES:
        yield (line.replace(b"{}", path) + HOST + more_headers + b"Content-Length: 2\r\n\r\n{}" + behind, note)
    for chunks, note in CHUNKS:
        yield (b"POST %s HTTP/1.1\r\n%s%sTransfer-Encoding: chunked\r\n\r\n%s%s" %
               (path, HOST, more_headers, chunks, behind), note)
    yield b"POST %s HTTP/1.1\r\n\r\n%s" % (path, behind), "no Host"
    yield b"POST %s HTTP/1.1\r\n%s%s\r\n%s" % (path, HOST, HOST, behind), "two Hosts"
    yield (b"POST %s HTTP/1.0\r\n%s%sTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s" %
           (path, HOST, more_headers, behind), "chunked on 1.0")
