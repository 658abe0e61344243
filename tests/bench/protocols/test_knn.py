"""Nearest neighbours, against a slow loop of the paper's vote and against lightly's."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightly.utils.benchmarking.knn import knn_predict

from bench.protocols.knn import knn, vote
from bench.random import generator


def problem(n=80, queries=50, dim=6, classes=4):
    draws = generator("knn")
    bank, targets = torch.randn(n, dim, generator=draws), torch.randint(classes, (n,), generator=draws)
    return torch.randn(queries, dim, generator=draws) * 7, bank * 3, targets


@pytest.mark.parametrize("temperature", [0.07, 0.5])
@pytest.mark.parametrize("k", [1, 20, 80])
def test_it_is_the_vote_of_the_paper(k, temperature):
    queries, bank, targets = problem()
    found = vote(queries, bank, targets, classes=4, k=k, temperature=temperature)
    for row, query in enumerate(queries.double()):
        similarities = []
        for other, target in zip(bank.double(), targets.tolist(), strict=True):
            cosine = sum(a * b for a, b in zip(query.tolist(), other.tolist(), strict=True))
            cosine /= math.hypot(*query.tolist()) * math.hypot(*other.tolist())
            similarities.append((cosine, target))
        votes = [0.0] * 4
        for cosine, target in sorted(similarities, reverse=True)[:k]:
            votes[target] += math.exp(cosine / temperature)
        expected = torch.tensor([v / sum(votes) for v in votes], dtype=torch.float32)
        torch.testing.assert_close(found[row], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("k", [1, 5, 20, 80])
def test_it_predicts_as_lightly_does(k):
    queries, bank, targets = problem()
    normal = torch.nn.functional.normalize
    theirs = knn_predict(normal(queries, dim=1), normal(bank, dim=1).T, targets, num_classes=4, knn_k=k, knn_t=0.07)
    ours = vote(queries, bank, targets, classes=4, k=k, temperature=0.07)
    np.testing.assert_array_equal(ours.argmax(1), theirs[:, 0])


def test_a_small_bank_a_small_temperature_and_an_absent_class():
    queries, bank, targets = problem()
    many = vote(queries, bank, targets, classes=6, k=1000, temperature=1e-3)
    assert torch.isfinite(many).all()
    torch.testing.assert_close(many.sum(1), torch.ones(50))
    assert many[:, 4:].eq(0).all()
    assert torch.equal(many, vote(queries, bank, targets, classes=6, k=80, temperature=1e-3))


def test_it_scores_each_test_case_by_the_training_cases_alone(encoder, make_context, colours):
    found = knn.fit_and_score(encoder(), make_context(), k=5)
    assert found.cases == tuple(case.id for case in colours.test)
    assert found.values["accuracy"].shape == found.values["log_loss"].shape == (12,)
    assert found.values["accuracy"].mean() >= 11 / 12
    assert found.chosen == {"k": 5}
    assert knn.fit_and_score(encoder(), make_context()).chosen == {"k": 20}
    assert knn.fit_and_score(encoder(), make_context(), k=99).chosen == {"k": 33}

    wrong = replace(colours, val=tuple(replace(case, target=0) for case in colours.val))
    same = knn.fit_and_score(encoder(), make_context(splits=wrong, seed=9), k=5)
    assert same.predictions["probabilities"].tobytes() == found.predictions["probabilities"].tobytes()
    swapped = replace(colours, train=tuple(replace(case, target=(case.target + 1) % 3) for case in colours.train))
    assert knn.fit_and_score(encoder(), make_context(splits=swapped), k=5).values["accuracy"].mean() <= 1 / 12
