"""What is said in every figure of a Table: on which data, over which seeds, and over how many test cases."""

from collections.abc import Sequence

from bench.leaderboard.table import Column, Table


def data(table: Table) -> str:
    """Phantoms in letters that nobody overlooks."""
    return f"{'PHANTOM' if table.phantom else 'real'} data"


def seeds(table: Table) -> str:
    """Over which the means are."""
    return f"mean over seeds {_list(table.seeds)}" if len(table.seeds) > 1 else f"mean of one seed ({table.seeds[0]})"


def cases(table: Table, shown: Sequence[int]) -> str:
    """Of each column that is shown, by index, how many are scored."""
    counts = {index: max(row.cells[index].cases for row in table.rows) for index in shown}
    by_count: dict[int, list[str]] = {}
    for index, count in counts.items():
        by_count.setdefault(count, []).append(full(table.columns[index]))
    return f"test cases: {'; '.join(f'{count} in {_list(names)}' for count, names in by_count.items())}"


def full(column: Column) -> str:
    """The name of a column as it is read."""
    return column.name.replace("/", " / ")


def better(column: Column) -> str:
    """Which way its numbers are."""
    return f"{'higher' if column.higher_is_better else 'lower'} is better"


def _list(things: Sequence[object]) -> str:
    return ", ".join(map(str, things))
