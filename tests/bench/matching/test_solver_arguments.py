"""What the solver refuses, and that it says where it is wrong."""

import re
from inspect import unwrap

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.matching.solver import certify, solve, value


@pytest.fixture
def refused(problem):
    """The error for a problem of three graphs of six nodes, some of whose arguments are changed by functions."""

    def refuse(**changes):
        arguments = problem(3, 6, k=2)._asdict()
        for name, change in changes.items():
            arguments[name] = change(arguments[name].numpy().copy()) if name in arguments else change
        with pytest.raises(BenchError) as caught:
            unwrap(solve)(**arguments)  # unchecked by the tests' type checker, which would be first
        return str(caught.value)

    return refuse


def put(number, *at):
    def change(array):
        array[at] = number
        return array

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("vertex", lambda x: x[0]),
        ("vertex", lambda x: x[:, :-1]),
        ("vertex", lambda x: x[:1]),
        ("edge", lambda x: x[:, :-1]),
        ("edge", lambda x: x[..., None]),
        ("edges_s", lambda x: x[:, :-1]),
        ("edges_t", lambda x: x[..., :1]),
    ],
)
def test_shapes_that_do_not_fit(refused, name, change):
    said = refused(**{name: change})
    assert "expected vertex (g n n), edge (g e f), edges_s (g e 2), edges_t (g f 2)" in said
    assert re.search(rf"{name} \([\d, ]+\)", said)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["vertex", "edge"])
def test_an_affinity_that_is_no_number_is_named_with_its_graph(refused, name, bad):
    said = refused(**{name: put(bad, 1, 2, 3)})
    assert f"{name} holds a NaN or an infinite affinity in graph 1 (1 of 3 graphs do)" in said


@pytest.mark.parametrize("bad", [6, -2, -1])
def test_an_edge_that_joins_no_nodes_is_named(refused, bad):
    """-1 at one end alone is no padding."""
    said = refused(edges_t=put(bad, 2, 4, 1))
    assert re.search(rf"edges_t joins \[\d, {bad}\] in graph 2; nodes are 0 to 5", said)


def test_types_that_are_no_affinities_or_nodes(refused):
    assert "vertex holds torch.complex64" in refused(vertex=lambda x: x.astype(np.complex64))
    assert "edges_s holds torch.float64" in refused(edges_s=lambda x: x.astype(float))
    assert "one node or more" in refused(
        vertex=lambda x: x[:, :0, :0],
        edge=lambda x: x[:, :0, :0],
        edges_s=lambda x: x[:, :0],
        edges_t=lambda x: x[:, :0],
    )


def test_names_and_numbers_that_do_not_exist(refused):
    assert "unknown solver `taboo`; did you mean `tabu`?" in refused(solver="taboo")
    assert "unknown mode `ful`; did you mean `full`?" in refused(mode="ful")
    assert "iterations (0)" in refused(iterations=0)
    assert "threads (0)" in refused(threads=0)


@pytest.mark.parametrize("wrong", [torch.zeros(3, 6), torch.zeros(3, 6, dtype=int), torch.arange(6).expand(2, 6)])
@pytest.mark.parametrize("judge", [value, certify])
def test_a_matching_that_is_none(problem, judge, wrong):
    with pytest.raises(BenchError, match=r"expected matchings \(g n\), here \(3, 6\)"):
        judge(*problem(3, 6, k=2), wrong)
