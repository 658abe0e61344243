"""From the plan and the store to results: which record stands behind each cell, under the grid's own labels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench.errors import unknown
from bench.leaderboard.catalogue import at_sites, family_of, find, group_of, may_have_seen
from bench.leaderboard.names import higher_is_better
from bench.leaderboard.result import Result
from bench.plan import Planned
from bench.store import Record, Store

Found = Sequence[tuple[Result, Record | None]]  # cells without their values, and what those are in
Metric = str | Mapping[tuple[str, str], str]  # of all columns ("": each task's primary), or by task and protocol


def results(planned: Iterable[Planned], metric: Metric = "") -> list[Result]:
    """The cells of a plan with their per-case values; pretrainings have none and are left out.

    They are of each task's primary metric, or all of `metric`, and then only where it was computed; or of those of a
    mapping, in its columns alone. Raises BenchError where a record's scores are damaged, and for a metric that no
    record has.
    """
    return _filled([(_planned(p), p.record) for p in planned if p.job.kind == "evaluate"], metric)


def stored(store: Store, metric: Metric = "") -> list[Result]:
    """The results of a store alone, as `results`: of each cell the newest record, and nothing that is not done.

    A folder of records that somebody published can be read where the plug-ins and the data are not.
    """
    newest = {
        r.id: r for r in sorted(store.records(), key=lambda r: str(r.facts["started"])) if r.facts["kind"] == "evaluate"
    }
    return _filled([(_recorded(newest[name]), newest[name]) for name in sorted(newest)], metric)


def of_record(record: Record, metric: str = "") -> list[Result]:
    """The results of one record of a cell, as `results`. Raises whatever a record that was made up leads to."""
    return _filled([(_recorded(record), record)], metric)


def _filled(found: Found, metric: Metric) -> list[Result]:
    """Each cell with its values, and where sites are scored apart with a result for each."""
    if not isinstance(metric, str):
        found = [(_of(cell, metric[_column(cell)]), record) for cell, record in found if _column(cell) in metric]
        metric = ""
    cells = [_valued(cell, record, metric) if record else cell for cell, record in found]
    if metric:
        # What is not done yet will have the metrics of what is done of its column.
        has = {_column(cell) for cell in cells if cell.state == "done"}
        if found and not has:
            raise unknown("metric", metric, sorted(_metrics(found)), where="the board")
        cells = [_of(cell, metric) for cell in cells]
    else:
        has = {_column(cell) for cell in cells}
    told = [(cell, by_site(cell, r)) for cell, (_, r) in zip(cells, found, strict=True) if _column(cell) in has]
    apart = {_column(cell): of for cell, of in told if len(of) > 1}
    return [
        one
        for cell, of in told
        for one in (of if cell.state == "done" else _expected(cell, apart.get(_column(cell), of)))
    ]


def _of(cell: Result, metric: str) -> Result:
    return replace(cell, metric=metric, higher_is_better=higher_is_better(metric))


def _valued(cell: Result, record: Record, metric: str) -> Result:
    detections, patients = record.detections(), record.facts.get("patients", {})
    cell = replace(cell, record=record.key)
    if detections and (metric or cell.metric) in detections.metrics:
        return replace(cell, state="done", cases=detections.cases, detections=detections)
    values = record.scores().get(metric or cell.metric, {})
    return replace(
        cell,
        state="done" if values else cell.state,
        cases=tuple(values),
        values=np.array([*values.values()], float),
        patients=tuple(str(patients.get(case, case)) for case in values) if patients else (),
    )


def _metrics(found: Found) -> set[str]:
    names = set[str]()
    for record in [record for _, record in found if record]:
        detections = record.detections()
        names |= {*record.scores(), *(detections.metrics if detections else ())}
    return names


def _expected(cell: Result, others: Sequence[Result]) -> list[Result]:
    """A cell that is not done, for each of the columns that the `others` have."""
    return [
        replace(cell, task=o.task, part=o.part, family=o.family, higher_is_better=o.higher_is_better) for o in others
    ]


def _column(cell: Result) -> tuple[str, str]:
    return cell.task, cell.protocol


def by_site(result: Result, record: Record | None) -> list[Result]:
    """A result, or where sites are scored apart: one of each, of their mean, and of the drop from what was trained on.

    Mean and drop give every site the same weight, so each case counts by the size of its site; their values are cases'
    shares in those means, times the number of cases, and are resampled within each site. Of all these the mean alone
    counts in means over columns.
    """
    sites = record.facts.get("sites") if record else None
    if not sites or result.state != "done" or result.detections:
        return [result]
    of = np.array([sites["of"][case] for case in result.cases])
    names, patients = list(dict.fromkeys(of.tolist())), np.array(result.patients, str)
    result = replace(result, family=at_sites(result.family))
    own = np.isin(of, sites["trained_on"])
    share = np.array([len(of) / np.count_nonzero(of == site) for site in of])
    found = [
        replace(
            result,
            task=f"{result.task}@{site}",
            cases=tuple(case for case, at in zip(result.cases, of, strict=True) if at == site),
            values=result.values[of == site],
            patients=tuple(patients[of == site].tolist()) if result.patients else (),
            part=True,
        )
        for site in names
    ]
    whole = replace(result, strata=tuple(of.tolist()))
    found.append(replace(whole, task=f"{result.task}@mean", values=result.values * share / len(names)))
    inside, outside = len(set(of[own])), len(set(of[~own]))
    if inside and outside:
        weights = np.where(own, share / inside, -share / outside) * (1 if result.higher_is_better else -1)
        drop = replace(whole, task=f"{result.task}@drop", values=result.values * weights, part=True)
        found.append(replace(drop, higher_is_better=False))
    return found


def _table(value: Any) -> Mapping[str, Any]:
    """What a record has, or nothing of what is not as this program writes it: only marks of a board depend on it."""
    return value if isinstance(value, Mapping) else {}


def _recorded(record: Record) -> Result:
    facts = record.facts
    encoder = _table(facts["parts"].get("encoder"))
    method = find("method", str(_table(encoder.get("method")).get("plugin")))
    task = find("task", facts["task"])
    return Result(
        method=facts["method"],
        task=facts["task"],
        protocol=facts["protocol"],
        seed=facts["seed"],
        state="pending",  # until its values are in
        metric=facts["primary"],
        phantom=facts["phantom"],
        found=facts["data"][0]["found"],
        official=facts["data"][0]["official"],
        cases=(),
        values=np.zeros(0),
        higher_is_better=higher_is_better(facts["primary"]),
        seen=facts["data"][0].get("test_cases_seen_in_training", 0),
        collapsed=bool(facts.get("collapsed")),
        group=str(facts.get("group") or group_of(method, pretrained="recipe" in encoder)),
        family=family_of(task, find("protocol", facts["protocol"], task.target if task else ""), facts["primary"]),
        may_have_seen=may_have_seen(method, facts["task"]),
    )


def _planned(planned: Planned) -> Result:
    job = planned.job
    assert job.task is not None
    assert job.protocol is not None
    source, primary = job.sources[0], job.task.load().info.primary
    return Result(
        method=job.method.label,
        task=job.task.name,
        protocol=job.protocol.plugin.name,
        seed=job.seed,
        state="failed" if planned.state in ("failed", "blocked") else "pending",  # until its values are in
        metric=primary,
        phantom=job.phantom,
        found=source.found,
        official=source.official,
        cases=(),
        values=np.zeros(0),
        higher_is_better=higher_is_better(primary),
        seen=source.seen,
        collapsed=bool(planned.record and planned.record.facts.get("collapsed")),
        group=job.method.group or group_of(job.method.plugin, pretrained=job.method.plugin.decorator == "ssl_method"),
        family=family_of(job.task.plugin, job.protocol.plugin, primary),
        may_have_seen=may_have_seen(job.method.plugin, job.task.plugin.name),
    )
