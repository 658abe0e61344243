"""Fine-tuning: encoder and head are trained together; the epoch is picked on validation, and test is looked at once.

The LVM-Med paper (arXiv:2306.11925, appendix B): Adam, cross-entropy, a constant rate, no augmentation. `finetune_mlp`
has the two hidden layers of its Table 12.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from bench.protocols._data import BATCH, Labelled, images, scores, split
from bench.random import generator, seed_library
from bench.spec import Context, Encoder, Scores, protocol


class Classifier(nn.Module):
    """An encoder and a head of `sizes` layers (features, hidden ..., classes) on its pooled vector."""

    def __init__(self, encoder: Encoder, sizes: Sequence[int]) -> None:
        super().__init__()
        self.encoder = encoder
        layers: list[nn.Module] = []
        for number, (inputs, outputs) in enumerate(pairwise(sizes)):
            layers += [nn.ReLU()] * (number > 0) + [nn.Linear(inputs, outputs)]
        self.head = nn.Sequential(*layers)

    def forward(self, batch: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b c"]:
        """Logits of 8-bit images."""
        out: Tensor = self.head(self.encoder(self.encoder.normalise(batch)).pooled)
        return out


@torch.no_grad()
def predict(model: Classifier, inputs: Tensor, device: str) -> Float[Tensor, "n c"]:
    """Class probabilities of 8-bit images, in evaluation mode."""
    model.eval()
    return torch.cat([model(batch.to(device)).softmax(-1).cpu() for batch in inputs.split(BATCH)])


def train_epoch(
    model: Classifier, data: Labelled, optimiser: torch.optim.Optimizer, order: Tensor, size: int, device: str
) -> None:
    """One pass in the given order; a last batch of one image is left out, which batch-norm cannot take."""
    model.train()
    for rows in order.split(size):
        if len(rows) > 1:
            loss = functional.cross_entropy(model(data.inputs[rows].to(device)), data.targets[rows].to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def tuned(
    encoder: Encoder, context: Context, hidden: Sequence[int], lr: float, epochs: int, batch_size: int,
    weight_decay: float, image_size: int,
) -> Scores:  # fmt: skip
    """Train everything; of equal validation accuracies the later epoch is kept, as the paper's code does."""
    parts = split(context, torch.from_numpy(images(context, image_size or encoder.image_size)))
    seed_library("finetune", context.task.name, context.seed)
    model = Classifier(encoder, (encoder.dim, *hidden, len(context.task.classes)))
    model = model.to(context.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=weight_decay)
    draws = generator("finetune order", context.task.name, context.seed)
    best, kept, state = -1.0, 0, model.state_dict()
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(parts["train"].targets), generator=draws)
        train_epoch(model, parts["train"], optimiser, order, batch_size, context.device)
        right = predict(model, parts["val"].inputs, context.device).argmax(-1) == parts["val"].targets
        if right.float().mean().item() >= best:
            best, kept = right.float().mean().item(), epoch
            state = {name: value.detach().clone() for name, value in model.state_dict().items()}
        context.progress("epochs", epoch, epochs)
    model.load_state_dict(state)
    return scores(context, predict(model, parts["test"].inputs, context.device), {"epoch": kept, "val_accuracy": best})


@protocol("finetune", title="encoder and one layer, trained together")
def finetune(
    encoder: Encoder, context: Context, *, lr: float = 5e-4, epochs: int = 30, batch_size: int = 64,
    weight_decay: float = 0.0, image_size: int = 0,
) -> Scores:  # fmt: skip
    """Defaults are the paper's for brain tumours; a task's own recipe goes before. `image_size` 0: the encoder's."""
    return tuned(encoder, context, (), lr, epochs, batch_size, weight_decay, image_size)


@protocol("finetune_mlp", title="encoder and two hidden layers, trained together")
def finetune_mlp(
    encoder: Encoder, context: Context, *, hidden: Sequence[int] = (512, 256), lr: float = 5e-4, epochs: int = 30,
    batch_size: int = 64, weight_decay: float = 0.0, image_size: int = 0,
) -> Scores:  # fmt: skip
    """As `finetune`, with `hidden` layers: 512-256 for the brain tumours and 512-128 for FGADR (Table 12)."""
    return tuned(encoder, context, hidden, lr, epochs, batch_size, weight_decay, image_size)
