"""The tables of the LVM-Med paper (arXiv:2306.11925) as layouts: columns, rows, groups and metrics, filled from here.

They are read from the numbers that ship with this package, so that a layout and what is printed in it cannot disagree.
Where the paper has prompts in rows of their own below the same columns, so has the layout.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.errors import unknown
from bench.leaderboard.beside import Identity, plainly
from bench.leaderboard.catalogue import GROUPS
from bench.leaderboard.published import Published
from bench.leaderboard.result import Result

SOURCE = "arXiv:2306.11925"
LAYOUTS = {f"paper-table-{number}": number for number in ("2", "3", "4", "5", "11", "12")}
PROMPTS = GROUPS[-1]
OURS = dict(zip(("2D supervised", "2D SSL on medical images", "foundation model", PROMPTS), GROUPS, strict=True))
Arranged = tuple[list[Result], tuple[str, ...]]


@dataclass(frozen=True)
class Layout:
    """A printed table; with rows of prompts, all protocols of a task share a column."""

    number: str
    numbers: tuple[Published, ...]

    @property
    def prompts(self) -> bool:
        """Whether it has rows of prompts."""
        return any(number.group == PROMPTS for number in self.numbers)

    @property
    def metrics(self) -> dict[tuple[str, str], str]:
        """By task, without its site, and protocol."""
        return {(n.tasks[0].partition("@")[0], n.protocol): n.metric for n in self.numbers}

    @property
    def columns(self) -> tuple[str, ...]:
        """In the paper's order."""
        return tuple(dict.fromkeys(n.tasks[0] if self.prompts else "/".join(n.column) for n in self.numbers))

    def column(self, result: Result) -> str:
        """Where a result stands."""
        return result.task if self.prompts else f"{result.task}/{result.protocol}"

    def arranged(self, results: Sequence[Result], known: Mapping[str, Identity]) -> Arranged:
        """The results that it shows, in its order, and what a reader is told of the others; `known` by label."""
        rows = {n.row: index for index, n in reversed([*enumerate(self.numbers)])}
        places = {name: index for index, name in enumerate(self.columns)}
        found, left = list[tuple[int, int, Result]](), dict[str, None]()
        for result in (one for each in results for one in self._at_sites(each)):
            number, column = self._row(known.get(result.method), result.protocol), self.column(result)
            if number is None:
                left[result.method] = None
            elif column in places:
                group = OURS.get(number.group, number.group)
                own = replace(result, row=self.label(result), group=group, column=column)
                found.append((rows[number.row], places[column], own))
        first = {r.row: at for at, _, r in sorted(found, key=lambda one: one[0], reverse=True)}
        shown = [r for _, _, r in sorted(found, key=lambda one: (first[one[2].row], one[1]))]
        return shown, self._notes(shown, [name for name in left if name not in {r.method for r in shown}])

    def _notes(self, shown: Sequence[Result], left: Sequence[str]) -> tuple[str, ...]:
        empty = [name for name in self.columns if name not in {r.column for r in shown}]
        notes = [f"columns and rows of table {self.number} of {SOURCE}"]
        notes += [f"without a result here: {', '.join(empty)}"] if empty else []
        return (*notes, *([f"no method of that table: {', '.join(left)}"] if left else []))

    def label(self, result: Result) -> str:
        """The row of a result: its method, and the protocol where that is of prompts."""
        of_prompts = {n.protocol for n in self.numbers if n.group == PROMPTS}
        return f"{result.method} ({result.protocol})" if result.protocol in of_prompts else result.method

    def _at_sites(self, result: Result) -> list[Result]:
        """What is not done of a task that is shown site by site, at each of them."""
        sites = dict.fromkeys(n.tasks[0] for n in self.numbers if n.tasks[0].startswith(f"{result.task}@"))
        if result.state == "done" or not sites:
            return [result]
        return [replace(result, task=site, part=not site.endswith("@mean")) for site in sites]

    def _row(self, own: Identity | None, protocol: str) -> Published | None:
        """The printed row of a method: of its backbone, if there is one, or the first."""
        near = [n for n in self.numbers if own and own.plugin in n.plugins and n.protocol == protocol]
        alike = [n for n in near if own and plainly(n.backbone) == plainly(own.backbone)]
        return next(iter([*alike, *near]), None)

    def printed(self) -> list[Published]:
        """Its numbers, in its columns and rows."""
        if not self.prompts:
            return list(self.numbers)
        return [self._prompted(n) if n.group == PROMPTS else replace(n, protocol="") for n in self.numbers]

    def _prompted(self, number: Published) -> Published:
        plugins = tuple(f"{plugin} ({number.protocol})" for plugin in number.plugins)
        return replace(number, protocol="", method=f"{number.method} ({number.protocol})", plugins=plugins)

    def known(self, found: Mapping[str, Identity]) -> dict[str, Identity]:
        """What its rows are, by label: prompts are told from other ways to use a method."""
        of_prompts = dict.fromkeys(n.protocol for n in self.numbers if n.group == PROMPTS)
        prompted = {
            f"{label} ({protocol})": replace(own, plugin=f"{own.plugin} ({protocol})")
            for label, own in found.items()
            for protocol in of_prompts
        }
        return {**found, **prompted}


def layout(name: str, published: Sequence[Published]) -> Layout:
    """The layout of that name. Raises BenchError with the near names."""
    if name not in LAYOUTS:
        raise unknown("layout", name, LAYOUTS, where="--layout")
    own = [n for n in published if (n.source, n.table) == (SOURCE, LAYOUTS[name]) and len(n.tasks) == 1]
    return Layout(LAYOUTS[name], tuple(own))
