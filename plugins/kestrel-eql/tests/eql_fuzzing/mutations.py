"""Changes texts and bytes a little, as slips and attackers do."""

from __future__ import annotations

import re
from random import Random
from typing import Final

_PIECES: Final = (
    "and", "or", "not", "in", "like", "regex~", ":", "==", "=", "!=", "(", ")", "[", "]", "![", "|",
    ",", ".", "where", "by", "until", "with", "maxspan=1s", "runs=3", "as e", "fork", "sequence",
    "sample", "join", "of", "descendant of [any where true]", "null", "true", "$x", "?", "~", "`",
    '"', "'", '"""', "\\", "/*", "*/", "//", "*", "{", "}", "\x00", "\n", "\r", "\f", "\u2028",
    "\ufeff", "\ud800", "ſ", "İ", "\U0001f985", "e\u0301", "9" * 25, "-1", "1e400", "@", "#", ";",
    "head 3", "filter a", "_arraysearch(a, $x, true)", "length(", "concat(a, b)", '"*"', "[0]",
)  # fmt: skip


_TOKEN: Final = re.compile(
    r"""(?P<text>"[^"\n]*"|'[^'\n]*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[\w.@`]+)"""
    r"|(?P<sign>==|!=|<=?|>=?|=|:|[-+*/%])"
)


def mutated(random: Random, text: str, others: tuple[str, ...], longest: int) -> str:
    """Return a text with one to four changes, of `longest` characters at most."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        text = _changed(random, text, others, longest)[:longest]
    return text


def _changed(random: Random, text: str, others: tuple[str, ...], longest: int) -> str:
    begin = random.randint(0, len(text))
    end = min(len(text), begin + random.choice((1, 1, 2, 5, 20, 100)))
    piece = text[begin:end]
    match random.randrange(16):
        case 9 | 10 | 11 | 12 | 13 | 14 | 15:
            return _with_another_token(random, text, random.choice(others))
        case 0:  # delete
            return text[:begin] + text[end:]
        case 1:  # duplicate
            return text[:end] + piece + text[end:]
        case 2:  # repeat
            most = max(1, (longest - len(text)) // max(1, len(piece)))
            times = min(most, random.choice((3, 50, 70, 2_000, most)))
            return text[:begin] + piece * times + text[end:]
        case 3 | 4:  # insert
            space = random.choice(("", " "))
            return text[:begin] + space + random.choice(_PIECES) + space + text[begin:]
        case 5:  # swap two words
            words = text.split(" ")
            first, second = random.randrange(len(words)), random.randrange(len(words))
            words[first], words[second] = words[second], words[first]
            return " ".join(words)
        case 6:  # splice
            other = random.choice(others)
            return text[:begin] + other[random.randint(0, len(other)) :]
        case 7:  # another character
            code = random.choice((random.randrange(128), random.randrange(0x110000)))
            return text[:begin] + chr(code) + text[begin + 1 :]
        case _:  # cut
            return text[:begin]


def _with_another_token(random: Random, text: str, other: str) -> str:
    """Put a token of another text in the place of one of its kind: often this is EQL again."""
    tokens = list(_TOKEN.finditer(text[:20_000]))
    if not tokens:
        return text
    old = random.choice(tokens)
    same = [new[0] for new in _TOKEN.finditer(other) if new.lastgroup == old.lastgroup]
    return text[: old.start()] + random.choice(same or [old[0]]) + text[old.end() :]


def random_text(random: Random) -> str:
    """Return characters of all kinds, or bytes read as some encoding would."""
    size = random.choice((0, 1, 5, 40, 300))
    if random.random() < 0.5:
        encoding = random.choice(("latin-1", "cp437", "utf-16-le", "utf-8"))
        return random.randbytes(size).decode(encoding, random.choice(("replace", "ignore")))
    ranges = (128, 0x300, 0x3000, 0x110000)
    return "".join(chr(random.randrange(random.choice(ranges))) for _ in range(size))


def mutated_bytes(random: Random, content: bytes) -> bytes:
    """Return bytes with one to three changes that no text editor makes."""
    for _ in range(random.randint(1, 3)):
        at = random.randint(0, len(content))
        match random.randrange(6):
            case 0:
                content = content[:at] + random.randbytes(random.randint(1, 4)) + content[at:]
            case 1:
                content = content.replace(b"\n", random.choice((b"\r\n", b"\r", b"\n\n")))
            case 2:
                content = random.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\x00")) + content
            case 3:
                content = content[:at]
            case 4:
                content = content[:at] + content[at + random.randint(1, 30) :]
            case _:
                content = content[:at] + b"\xed\xa0\x80" + content[at:]
    return content
