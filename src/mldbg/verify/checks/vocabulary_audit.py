from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure as Canvas
from scipy import stats

from mldbg.verify import draw
from mldbg.verify.bench import Bench
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.experiment import ExperimentError
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.statistics import ALPHA, wilson

FEWEST_TEXTS = 20
"""Fewer say nothing about a rate."""

MOST_TEXTS = 1000
"""More are not read."""

MANY_UNKNOWN = 0.1
"""Share of unknown running words that deserves a warning."""

MOSTLY = 0.5
"""Share beyond which something is wrong with the vocabulary as a whole."""

_STRANGERS = tuple(chr(code) * 2 for code in range(0xE000, 0xE008))
"""Words of private-use characters, which no vocabulary holds."""


class VocabularyAudit(Check):
    """the tokenizer knows the words of the texts, in their actual casing

    ## Why
    A lower-case vocabulary under texts with capitals turns names and sentence starts into one unknown token; a vocabulary of
    another corpus turns nearly everything into it. The loss still falls, on what is left of the text.

    ## Measures
    The rate of unknown words with its Wilson interval, as the texts are and in lower and upper case. A case bug is shown in
    pairs: of the different words that have a counterpart in other casing, those unknown as written and known otherwise,
    against those the other way round (McNemar's exact test, p < 0.01), *and* more than half of them are unknown as
    written, *and* the other casing halves the rate (a vocabulary of frequent words lacks some capitalised ones without
    anything being wrong). The unknown token is asked for or found as the common result of words of private-use characters.
    Decoding is compared without spaces, case and accents.

    ## Causes
    - `case-mismatch`: vocabulary and texts have different casing.
    - `mostly-unknown`: more than half of the running words are unknown in any casing: the vocabulary is of another corpus.
    - `many-unknown-words`: more than a tenth is (a warning).
    - `round-trip-differs`: decoding what was encoded yields a different text, although it has no unknown word (a warning).

    ## Limits
    Words are what stands between spaces and punctuation. Byte-level tokenizers know every word; of them only decoding is audited.
    """

    id = "A4"
    stage = Stage.APPARATUS
    kind = Kind.STATISTICAL
    needs = ("tokenizer", "texts")
    cost = 0.3

    def run(self, bench: Bench) -> Outcome:
        texts = [str(text) for text in bench.experiment.texts or ()][:MOST_TEXTS]
        words = Counter(word for text in texts for word in re.findall(r"[^\W\d_]+", text))
        if len(texts) < FEWEST_TEXTS or sum(words.values()) < FEWEST_TEXTS:
            return self.skipped(f"needs at least {FEWEST_TEXTS} texts with words", "use more texts")
        encode = _encoder(bench.experiment.tokenizer)
        is_unknown = _unknown(bench.experiment.tokenizer, encode)
        rates = {name: _rate(words, change, is_unknown) for name, change in _CASINGS.items()}
        bench.tick()
        pairs = {name: _pairs(words, _CASINGS[name], is_unknown) for name in ("lower case", "upper case")}
        trip = _round_trip(bench.experiment.tokenizer, encode, texts, is_unknown)
        as_is = rates["as it is"]
        bounds = wilson(*as_is)
        total = as_is[1]
        top = Counter({word: count for word, count in words.items() if is_unknown(word)}).most_common(8)
        numbers: dict[str, Any] = {
            "figure": Figure(
                "Unknown words by casing, and the most frequent unknown ones",
                lambda canvas: _drawn(canvas, rates, top, total),
                "Left: share of running words unknown to the tokenizer, with 95 % intervals. Right: the words themselves.",
            ),
            "statistic": as_is[0] / total,
            "null": "the share of unknown words is small, and the same in every casing",
            "threshold": MANY_UNKNOWN,
            "words": total,
            "round_trips": trip[1],
            "round_trips_that_differ": trip[0],
        }
        said = f"{as_is[0]} of {total} running words are unknown ({bounds[0]:.1%} to {bounds[1]:.1%})"
        name, pair = min(pairs.items(), key=lambda each: each[1].p_value)
        explained = rates[name][0] < as_is[0] / 2
        if pair.p_value < ALPHA and pair.mostly and explained:
            return self.failed(
                "case-mismatch",
                f"{pair.known_otherwise} different words are unknown as written but known in {name}; for "
                f"{pair.known_as_is} it is the other way round",
                f"convert texts to {name} before encoding, or build the vocabulary from the unmodified texts",
                p_value=pair.p_value,
                **numbers,
            )
        best = min(wilson(*rate)[0] for rate in rates.values())
        if best > MOSTLY:
            return self.failed("mostly-unknown", said, "check that tokenizer and texts belong together", **numbers)
        if best > MANY_UNKNOWN:
            return self.warned("many-unknown-words", said, "inspect the unknown words", **numbers)
        if trip[1] >= FEWEST_TEXTS and wilson(*trip)[0] > 0.01:
            why = f"{trip[0]} of {trip[1]} texts without an unknown word change in decode(encode(text))"
            return self.warned("round-trip-differs", why, "compare one text with its round trip", **numbers)
        return self.passed(said, **numbers)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Different words that change with the casing, by whether the tokenizer knows them as written and in the other casing."""

    known_otherwise: int
    known_as_is: int
    known_both: int

    @property
    def p_value(self) -> float:
        """McNemar's exact test, one-sided: the other casing is known better."""
        odd = self.known_otherwise + self.known_as_is
        return float(stats.binomtest(self.known_otherwise, odd, alternative="greater").pvalue) if odd else 1.0

    @property
    def mostly(self) -> bool:
        """Whether, of the words known in the other casing, surely more than half are unknown as written."""
        return wilson(self.known_otherwise, self.known_otherwise + self.known_both)[0] > MOSTLY


_CASINGS: dict[str, Callable[[str], str]] = {"as it is": str, "lower case": str.lower, "upper case": str.upper}


def _encoder(tokenizer: Any) -> Callable[[str], Sequence[Any]]:
    """Text to a flat list of ids or tokens. Raises ExperimentError for anything else."""
    encode = getattr(tokenizer, "encode", tokenizer)
    if not callable(encode):
        raise ExperimentError("the tokenizer has no encode and cannot be called")

    def ids(text: str) -> Sequence[Any]:
        try:
            found = encode(text)
        except KeyError:
            return [_LACKING]  # a plain dictionary lookup
        except Exception as error:
            raise ExperimentError(f"the tokenizer raised {type(error).__name__}: {error}") from error
        found = getattr(found, "ids", found)
        found = found["input_ids"] if isinstance(found, dict) else found
        found = found.tolist() if hasattr(found, "tolist") else found
        if not isinstance(found, Iterable):
            raise ExperimentError(f"the tokenizer returned a {type(found).__name__}, not a sequence of ids")
        flat = list(found)
        return list(flat[0]) if flat and isinstance(flat[0], list | tuple) else flat

    return ids


_LACKING = object()


def _unknown(tokenizer: Any, encode: Callable[[str], Sequence[Any]]) -> Callable[[str], bool]:
    """Whether a word becomes the unknown token; words are remembered."""
    ids = {getattr(tokenizer, name, None) for name in ("unk_token_id", "unk_id", "unk_index", "unk")} - {None}
    common = set.intersection(*(set(encode(word)) for word in _STRANGERS)) - set(encode(""))
    ids = {each for each in ids if not callable(each)} | common | {_LACKING}
    seen: dict[str, bool] = {}

    def is_unknown(word: str) -> bool:
        if word not in seen:
            found = encode(word)
            seen[word] = not found or any(each in ids for each in found)
        return seen[word]

    return is_unknown


def _rate(words: Counter[str], change: Callable[[str], str], is_unknown: Callable[[str], bool]) -> tuple[int, int]:
    return sum(count for word, count in words.items() if is_unknown(change(word))), sum(words.values())


def _pairs(words: Iterable[str], change: Callable[[str], str], is_unknown: Callable[[str], bool]) -> Pairs:
    counts: Counter[tuple[bool, bool]] = Counter()
    for word in words:
        if change(word) != word:
            counts[not is_unknown(word), not is_unknown(change(word))] += 1
    return Pairs(counts[False, True], counts[True, False], counts[True, True])


def _round_trip(
    tokenizer: Any, encode: Callable[[str], Sequence[Any]], texts: list[str], is_unknown: Callable[[str], bool]
) -> tuple[int, int]:
    """Texts that come back otherwise, of those that have no unknown word; (0, 0) without a decoder."""
    decode = getattr(tokenizer, "decode", None)
    if decode is None:
        return 0, 0
    differ = tried = 0
    frame = _plain(_decoded(decode, encode("")))
    for text in texts[:200]:
        if is_unknown(text):
            continue
        tried += 1
        back = _plain(_decoded(decode, encode(text)))
        differ += _plain(text) not in (back, back.removeprefix(frame), back.removesuffix(frame)) and _plain(text) not in back
    return differ, tried


def _decoded(decode: Callable[..., Any], ids: Sequence[Any]) -> str:
    try:
        result = decode(ids)
    except Exception as error:
        raise ExperimentError(f"the tokenizer's decode raised {type(error).__name__}: {error}") from error
    return result if isinstance(result, str) else "".join(map(str, result))


def _plain(text: str) -> str:
    """Letters and digits only, without case and accents: what a tokenizer may change without losing anything."""
    return "".join(each for each in unicodedata.normalize("NFKD", text).casefold() if each.isalnum())


def _drawn(canvas: Canvas, rates: dict[str, tuple[int, int]], top: list[tuple[str, int]], total: int) -> None:
    left, right = canvas.subplots(1, 2)
    draw.dressed(left, "unknown words [% of running words]", "")
    draw.dressed(right, "share [% of running words]", "")
    for row, (hits, trials) in enumerate(rates.values()):
        low, high = wilson(hits, trials)
        share = hits / trials
        left.barh(row, 100 * share, color=draw.SEEN, xerr=[[100 * (share - low)], [100 * (high - share)]], ecolor=draw.INK)
    left.set_yticks(range(len(rates)), list(rates))
    left.invert_yaxis()
    draw.line(left, 100 * MANY_UNKNOWN, "warning", color=draw.BAD, upright=True)
    draw.legend(left)
    right.barh(range(len(top)), [100 * count / total for _, count in top], color=draw.SEEN)
    right.set_yticks(range(len(top)), [word[:16] for word, _ in top])
    right.invert_yaxis()
