"""What can be wrong with a call, as far as shapes and types are concerned."""

from __future__ import annotations

from enum import Enum


class Problem(Enum):
    """What is wrong with a call."""

    SIZES = "sizes that have to agree differ"
    FEATURES = "a layer was built for another size"
    ELEMENTS = "another number of elements"
    RANK = "another number of axes"
    DTYPE = "another type of elements"
    PATTERN = "a pattern that fits nothing"
