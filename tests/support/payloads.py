"""Payloads that break parsers: the kinds of JSONTestSuite's cases, extreme numbers, deep nesting, torn bytes."""

import json

TS = 1_793_577_600_000 - 3_600_000

_LISTEN = {"ts": TS, "userId": 1, "songId": "s"}


def _with(text: str) -> bytes:
    """A listen with one more member, spelled as given."""
    return (json.dumps(_LISTEN)[:-1] + ", " + text + "}").encode()


ACCEPTED: dict[str, bytes] = {
    "plain": json.dumps(_LISTEN).encode(),
    "whitespace": b" \t\r\n" + json.dumps(_LISTEN).encode() + b"\n ",
    "duplicated key": _with('"a": 1, "a": 2'),
    "empty key": _with('"": 0'),
    "escaped NUL": _with('"a": "\\u0000"'),
    "escapes": _with('"a": "\\"\\\\\\/\\b\\f\\n\\r\\t"'),
    "surrogate pair": _with('"a": "\\ud83d\\ude00"'),
    "noncharacter": _with('"a": "\\uffff"'),
    "raw U+2028": _with('"a": "\u2028"'),
    "raw DEL": _with('"a": "\x7f"'),
    "minus zero": _with('"a": -0'),
    "exponent": _with('"a": 1E+2'),
    "tiny": _with('"a": 1e-400'),
    "beyond 64 bits": _with('"a": 123456789012345678901234567890'),
    "three hundred digits": _with('"a": ' + "9" * 300),
    "nested 500": _with('"a": ' + "[" * 500 + "]" * 500),
    "empty containers": _with('"a": {}, "b": []'),
    "long string": _with('"a": "' + "x" * 100_000 + '"'),
    "many keys": _with(", ".join(f'"k{n}": {n}' for n in range(2_000))),
    "astral": _with('"a": "\U0001f3b5"'),
    "lookalike of a holder": _with('"device": {}'),
    "extreme session": _with('"sessionId": 9223372036854775807'),
}

REFUSED: dict[str, bytes | None] = {
    "tombstone": None,
    "empty": b"",
    "space": b" ",
    "single quotes": b"{'ts': 1}",
    "trailing comma": b'{"a": 1,}',
    "comment": b'{"a": 1} // x',
    "two objects": b"{}{}",
    "unclosed": b'{"a": ',
    "bare word": b'{"a": nul}',
    "NaN": _with('"a": NaN'),
    "Infinity": _with('"a": -Infinity'),
    "leading zero": _with('"a": 012'),
    "leading plus": _with('"a": +1'),
    "no digits after the point": _with('"a": 1.'),
    "hexadecimal": _with('"a": 0x1'),
    "control character": _with('"a": "\x01"'),
    "raw newline": _with('"a": "\n"'),
    "bad escape": _with('"a": "\\x"'),
    "half a surrogate pair": _with('"a": "\\ud800"'),
    "beyond a double": _with('"a": 1e400'),
    "four thousand nines": _with('"a": ' + "9" * 4_000),
    "nested 1010": _with('"a": ' + "[" * 1010 + "]" * 1010),
    "nested 100,000": b"[" * 100_000,
    "objects nested 100,000": b'{"a":' * 100_000,
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "overlong slash": b'{"a": "\xc0\xaf"}',
    "lone continuation": b'{"a": "\x80"}',
    "surrogate in UTF-8": b'{"a": "\xed\xa0\x80"}',
    "cut in a character": b'{"a": "\xe2\x82',
    "NUL bytes": b"\x00\x00\x00",
    "gzip": b"\x1f\x8b\x08\x00",
    "array": b"[1]",
    "number": b"1",
    "null": b"null",
    "string": b'"x"',
    "extreme ts": b'{"ts": 9223372036854775807, "userId": 1, "songId": "s"}',
    "negative ts": b'{"ts": -9223372036854775808, "userId": 1, "songId": "s"}',
    "ts 1e308": b'{"ts": 1e308, "userId": 1, "songId": "s"}',
    "session beyond 64 bits": _with('"sessionId": 9223372036854775808'),
    "duration of 300 digits": _with('"duration": ' + "9" * 300),
}
