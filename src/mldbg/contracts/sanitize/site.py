"""Places in the user's code: which line called torch."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType
from typing import NamedTuple

import torch

_PACKAGES = ("site-packages", "dist-packages")
_STANDARD_LIBRARY = f"{Path(sysconfig.get_path('stdlib'))}{os.sep}"
_TORCH = Path(torch.__file__).parent
_NOT_THE_USERS = (
    f"{_TORCH}{os.sep}",
    f"{_TORCH.parent / 'functorch'}{os.sep}",
    f"{Path(__file__).parents[2]}{os.sep}",  # this package
    "<frozen ",  # the import system
    "<eval_with_key>",  # code that torch.fx writes
    "<@beartype",  # wrappers that beartype writes
    "<contract ",  # checkers
)
_is_users: dict[str, bool] = {}


class Site(NamedTuple):
    """A place in running code. Cheap to take, because the line is only looked up when somebody reads it.

    code: the code object of the function that was running.
    offset: the instruction it had reached, in bytes.
    """

    code: CodeType
    offset: int

    def __str__(self) -> str:
        start, *_ = next(islice(self.code.co_positions(), self.offset // 2, None), (None,))
        return f"{self.code.co_filename}:{start or self.code.co_firstlineno}"


def users_site(above: int) -> Site:
    """The innermost place outside torch, the standard library and this package.

    above: how many frames to leave out at the inner end; 1 is the caller of the caller.
    A thread that runs nothing but library code has no such place; then the outermost one is given.
    """
    frame = sys._getframe(above)  # noqa: SLF001 (inspect.stack would read source files)
    while True:
        code = frame.f_code
        known = _is_users.get(code.co_filename)
        if known or (known is None and is_users(code.co_filename)) or frame.f_back is None:
            return Site(code, frame.f_lasti)
        frame = frame.f_back


def users_locals(above: int) -> Iterator[Mapping[str, object]]:
    """The variables of the functions outside torch, the standard library and this package that are running, inner ones first."""
    frame: FrameType | None = sys._getframe(above)  # noqa: SLF001
    while frame is not None:
        if is_users(frame.f_code.co_filename):
            yield frame.f_locals
        frame = frame.f_back


def is_users(filename: str) -> bool:
    """Whether a file is outside torch, the standard library and this package."""
    in_library = filename.startswith(_STANDARD_LIBRARY) and not any(folder in filename for folder in _PACKAGES)
    _is_users[filename] = not in_library and not filename.startswith(_NOT_THE_USERS)
    return _is_users[filename]
