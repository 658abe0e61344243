"""From the plan and the store to results: which record stands behind each cell, under the grid's own labels."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from bench.leaderboard.table import Result
from bench.plan import Planned
from bench.store import Record, Store

STATE = {"cached": "done", "failed": "failed", "blocked": "failed", "run": "pending"}


def results(planned: Iterable[Planned]) -> list[Result]:
    """The cells of a plan with their per-case values; pretrainings have none and are left out.

    Raises BenchError where a record's scores are damaged.
    """
    return [one for p in planned if p.job.kind == "evaluate" for one in by_site(_result(p), p.record)]


def stored(store: Store) -> list[Result]:
    """Every cell that a store has a record of, the newest of an id, under the labels they were run with.

    They come by name. Raises BenchError where a record's scores are damaged.
    """
    newest = {
        r.id: r for r in sorted(store.records(), key=lambda r: str(r.facts["started"])) if r.facts["kind"] == "evaluate"
    }
    return [one for name in sorted(newest) for one in by_site(_stored(newest[name]), newest[name])]


def by_site(result: Result, record: Record | None) -> list[Result]:
    """A result, or where sites are scored apart: one of each, of their mean, and of the drop from what was trained on.

    Mean and drop give every site the same weight, so each case counts by the size of its site; their values are cases'
    shares in those means, times the number of cases.
    """
    sites = record.facts.get("sites") if record else None
    if not sites:
        return [result]
    of = np.array([sites["of"][case] for case in result.cases])
    names = list(dict.fromkeys(of))
    own = np.isin(of, sites["trained_on"])
    share = np.array([len(of) / np.count_nonzero(of == site) for site in of])
    found = [
        replace(
            result,
            task=f"{result.task}@{site}",
            cases=tuple(case for case, at in zip(result.cases, of, strict=True) if at == site),
            values=result.values[of == site],
        )
        for site in names
    ]
    inside, outside = len(set(of[own])), len(set(of[~own]))
    mean = replace(result, task=f"{result.task}@mean", values=result.values * share / len(names), derived=True)
    found.append(mean)
    if inside and outside:
        weights = np.where(own, share / inside, -share / outside)
        drop = replace(result, task=f"{result.task}@drop", values=result.values * weights, derived=True)
        found.append(replace(drop, higher_is_better=False))
    return found


def _stored(record: Record) -> Result:
    facts = record.facts
    found = record.scores()[facts["primary"]]
    return Result(
        method=facts["method"],
        task=facts["task"],
        protocol=facts["protocol"],
        seed=facts["seed"],
        state="done",
        metric=facts["primary"],
        phantom=facts["phantom"],
        found=facts["data"][0]["found"],
        official=facts["data"][0]["official"],
        cases=tuple(found),
        values=np.array(list(found.values()), dtype=np.float64),
        seen=facts["data"][0].get("test_cases_seen_in_training", 0),
        collapsed=bool(facts.get("collapsed")),
    )


def _result(planned: Planned) -> Result:
    job = planned.job
    assert job.task is not None
    assert job.protocol is not None
    info, source = job.task.load().info, job.sources[0]
    found = planned.record.scores()[info.primary] if planned.record else {}
    return Result(
        method=job.method.label,
        task=job.task.name,
        protocol=job.protocol.plugin.name,
        seed=job.seed,
        state=STATE[planned.state],
        metric=info.primary,
        phantom=job.phantom,
        found=source.found,
        official=source.official,
        cases=tuple(found),
        values=np.array(list(found.values()), dtype=np.float64),
        seen=source.seen,
        collapsed=bool(planned.record and planned.record.facts.get("collapsed")),
    )
