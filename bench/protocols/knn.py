"""Nearest neighbours in the frozen encoder's features: nothing is trained, nothing is chosen.

Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination, CVPR 2018, section 3.4: cosine
similarity, votes weighted by exp(similarity / temperature).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from bench.protocols._data import features, scores
from bench.spec import Context, Encoder, Scores, protocol


def vote(
    queries: Float[Tensor, "q d"], bank: Float[Tensor, "n d"], targets: Int[Tensor, " n"], *, classes: int, k: int,
    temperature: float,
) -> Float[Tensor, "q c"]:  # fmt: skip
    """Share of the weighted votes that each class has among the `k` nearest of the bank, or all if it is smaller."""
    similarity = normalize(queries, dim=-1) @ normalize(bank, dim=-1).T
    nearest, rows = similarity.topk(min(k, len(bank)), dim=-1)
    weights = ((nearest - nearest[:, :1]) / temperature).exp()  # the nearest weighs 1, so that no exponent overflows
    votes = (weights[..., None] * one_hot(targets[rows], classes)).sum(1)
    return votes / votes.sum(-1, keepdim=True)


@protocol("knn", title="nearest neighbours of frozen features")
def knn(encoder: Encoder, context: Context, *, k: int = 20, temperature: float = 0.07, image_size: int = 0) -> Scores:
    """k = 20 and temperature 0.07 as DINO and lightly report it. `image_size` 0: the encoder's."""
    parts = features(encoder, context, image_size or encoder.image_size)
    train, test = parts["train"], parts["test"]
    classes = len(context.task.classes)
    with torch.inference_mode():
        found = vote(test.inputs, train.inputs, train.targets, classes=classes, k=k, temperature=temperature)
    return scores(context, found, {"k": min(k, len(train.inputs))})
