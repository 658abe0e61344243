"""What a user did that cannot work, said so that it can be mended: the one exception shown without a traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


class BenchError(Exception):
    """A user's mistake: what is wrong, where (file, line or key), and the command or edit that mends it."""


class Stopped(Exception):
    """A job was asked to stop, and has left what it goes on from; the message is who asked, or which limit."""


def unknown(what: str, name: str, known: Iterable[str], *, where: str) -> BenchError:
    """The error for a name that does not exist, with the near names or, failing those, all of them."""
    names = sorted(known)
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = "did you mean " + " or ".join(f"`{n}`" for n in near) + "?"
    else:
        hint = "known: " + (", ".join(f"`{n}`" for n in names) or "none")
    return BenchError(f"{where}: unknown {what} `{name}`; {hint}")


def missing_package(package: str, *, needed_by: str) -> BenchError:
    """The error for a package that is not installed, with the line that installs it."""
    return BenchError(f"{needed_by} needs the package `{package}`: pip install {package}")


def reason(exc: BaseException) -> str:
    """An exception in a line: a user's mistake in its own words, anything else with its type."""
    return str(exc) if isinstance(exc, BenchError) else f"{type(exc).__name__}: {exc}"
