"""The numbers of a column as siunitx aligns them: what its type says of them, and one that is underlined."""

import re
from collections.abc import Sequence

BOLD = r"\bfseries "
NUMBER = re.compile(r"-?\d")


def kind(numbers: Sequence[str]) -> str:
    """The type of a column that has room for the longest of these numbers, and of their standard deviations."""
    parts = [text.split(" ± ") for text in numbers if NUMBER.match(text)]
    if not parts:
        return "c"
    sign = "-" if any(mean.startswith("-") for mean, *_ in parts) else ""
    whole = max(len(mean.lstrip("-").partition(".")[0]) for mean, *_ in parts)
    decimals = len(parts[0][0].partition(".")[2])
    spread = max((len(std) - 1 for _, *stds in parts for std in stds), default=0)
    return f"S[table-format={sign}{whole}.{decimals}{f'({spread})' if spread else ''}]"


def underlined(own: str, others: Sequence[str], *, bold: bool) -> str:
    """One of a column, which siunitx then takes for text: where it has fewer digits than others, it is filled up."""
    before, after = _filling(own, others)
    return f"{{{before}\\underline{{{BOLD * bold}\\num{{{own.replace('±', '+-')}}}}}{after}}}"


def _filling(own: str, others: Sequence[str]) -> tuple[str, str]:
    """What is to stand before and after a number that has fewer digits than the longest of its column."""
    digits = [_digits(text) for text in others if NUMBER.match(text)]
    lacking = [max(of) - have for of, have in zip(zip(*digits, strict=True), _digits(own), strict=True)]
    before, after = (f"\\phantom{{{'0' * n}}}" if n else "" for n in lacking)
    return before, after


def _digits(text: str) -> tuple[int, int]:
    """Characters before the point, and of what follows a ±."""
    mean, _, std = text.partition(" ± ")
    return len(mean.partition(".")[0]), len(std)
