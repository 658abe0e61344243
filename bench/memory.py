"""Out of memory on a device: whether half the micro-batch would give the same numbers, and else what a user can set."""

import torch

from bench.entries import MethodEntry
from bench.executors import Task


def advice(task: Task) -> tuple[int, str]:
    """Parts to compute each batch in at the next attempt, or 0; and what is said of it.

    A batch may be split where the loss is a mean over images and no batch-norm looks at all of them, and is once.
    """
    torch.cuda.empty_cache()
    job, said = task.job, "out of memory on the device"
    if job.kind == "evaluate":
        assert job.protocol is not None
        name = job.protocol.plugin.name
        size = {k: v for k, v in job.protocol.settings.items() if k in ("batch_size", "image_size")}
        now = ", ".join(f"{k} is {v}" for k, v in size.items()) or "it has no size that can be set"
        return 0, f"{said}; set a smaller [protocols.{name}] batch_size or image_size ({now}), which is another cell"
    recipe, several = job.method.pretrain, task.micro > 1
    whole = recipe.batch_size // recipe.accumulate
    if not several and whole > 1 and not (why := coupled(job.method)):
        return 2 * task.micro, f"{said} with {whole} images; once more in halves, which changes no number"
    why = f"even in {task.micro} parts" if several else why
    return 0, (
        f"{said} with {whole} images at a time, and {why}; set [pretrain] accumulate = {2 * recipe.accumulate}, a"
        f" smaller batch_size, or several GPUs by [executor] devices_per_pretrain"
    )


def coupled(entry: MethodEntry) -> str:
    """What makes the images of a batch depend on each other; nothing where a batch can be split."""
    from bench.run import build_method

    if not getattr(entry.plugin.load(), "separable", False):
        return f"`{entry.plugin.name}` compares the images of a batch, so that halves would be another method"
    method = build_method(entry, "random")
    for name, module in method.named_modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            return f"its batch-norm (`{name}`) sees the whole batch, so that halves would change the numbers"
    return ""
