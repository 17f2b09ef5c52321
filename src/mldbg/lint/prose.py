"""Comments and long strings, which name many things that the code does not do."""

from __future__ import annotations

import re

_LEXEMES = (
    r"""(?=["'#])(?:"""  # a search for one of three characters is fast
    r'(?P<prose>#[^\n\r]*|"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""|' + r"'''[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*''')"
    r'|(?P<string>"[^"\\\n]*(?:\\.[^"\\\n]*)*"' + r"|'[^'\\\n]*(?:\\.[^'\\\n]*)*'))"
)
_IN_TEXT = re.compile(_LEXEMES, re.DOTALL)
_IN_BYTES = re.compile(_LEXEMES.encode(), re.DOTALL)
_ENDS = re.compile(r"[\r\n]+")


def without_prose(text: str) -> str:
    """The text with nothing left of its comments and triple-quoted strings but their line ends; lines keep their numbers."""
    return _IN_TEXT.sub(lambda found: "".join(_ENDS.findall(found[0])) if found["prose"] else found[0], text)


def bytes_without_prose(data: bytes) -> bytes:
    """The same of a file's bytes, in one line: for searching."""
    return _IN_BYTES.sub(rb"\g<string>", data)
