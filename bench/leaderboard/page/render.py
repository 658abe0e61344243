"""One file: the tables, their data as JSON, the styles and the script, and a policy under which nothing else loads.

The policy lets in the script and the styles whose hashes it names, and no connection, image, frame, form or other
script whatever; text that reached the page as markup could do nothing.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files

from bench import __version__
from bench.leaderboard import words
from bench.leaderboard.page import static
from bench.leaderboard.page.payload import payload
from bench.leaderboard.ranking import Ranking
from bench.leaderboard.result import Result
from bench.leaderboard.table import Table
from bench.store import Record

ASSETS = files("bench.leaderboard.page") / "assets"
# fmt: off
SCRIPTS = (
    "dom.js", "data.js", "view.js", "table.js", "tools.js", "tip.js", "plot.js", "cell.js", "method.js", "cases.js",
    "facts.js", "cost.js", "ranks.js", "radar.js", "main.js",
)
STYLES = ("page.css", "table.css", "charts.css")
# fmt: on
# What ends a script element or a line of JavaScript has another spelling inside a JSON string.
UNSAFE = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def page(
    tables: Sequence[Table],
    results: Iterable[Result],
    records: Iterable[Record] = (),
    rankings: Iterable[Ranking] = (),
    *,
    title: str = "",
) -> str:
    """The whole file, with a section for each table; `records` of cells and pretrainings stand behind their numbers.

    Equal arguments give equal bytes.
    """
    records, rankings = list(records), list(rankings)
    ranked = {ranking.name: ranking for ranking in rankings}
    data = payload(tables, results, records, rankings)
    script, style = (_joined(names) for names in (SCRIPTS, STYLES))
    parts = {
        "title": static.text(title or "Leaderboard"),
        "policy": _policy(script, style),
        "style": style,
        "boards": "".join(static.board(table, ranked.get(table.name)) for table in tables) or _empty(),
        "made": static.text(_made(records)),
        "data": json.dumps(data, separators=(",", ":"), allow_nan=False).translate(UNSAFE),
        "script": script,
    }
    template = (ASSETS / "template.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)


def _joined(names: Iterable[str]) -> str:
    return "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in names)


def _policy(script: str, style: str) -> str:
    sources = (f"{kind}-src {_hash(of)}" for kind, of in (("script", script), ("style", style)))
    rest = "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    return f"default-src 'none'; {'; '.join(sources)}; {rest}"


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _empty() -> str:
    return f"<p>{static.text(words.EMPTY)}</p>"


def _made(records: Sequence[Record]) -> str:
    """What it was made from; no time of its making, so that equal stores give equal files."""
    newest = max((str(record.facts.get("started", "")) for record in records), default="")
    said = f"medssl-bench {__version__}, from {len(records)} records"
    return f"{said}, the newest of {newest[:10]}" if newest else said
