"""Brain tumour classification in MRI slices: the published folders, a validation set drawn as LVM-Med's authors did.

No patient is named, so slices of one patient may lie in both folders; the test labels of gliomas are often criticised.
"""

from pathlib import Path

from bench.data.folders import as_published, hold_out, index_by_stem, require_folder
from bench.spec import Case, Image, Part, Splits, task


@task(
    "brain_tumor",
    title="Brain Tumor Classification (MRI)",
    modality="MRI",
    classes=("glioma_tumor", "meningioma_tumor", "no_tumor", "pituitary_tumor"),
    case="image",
    licence="none stated",
    citation="Bhuvaji et al., Brain Tumor Classification (MRI), Kaggle 2020, doi:10.34740/kaggle/dsv/1183165",
    url="https://www.kaggle.com/datasets/sartajbhuvaji/brain-tumor-classification-mri",
    layout={
        "Training": Part(2870, (Image("Training/{name}/image({n}).jpg"),)),
        "Testing": Part(394, (Image("Testing/{name}/image({n}).jpg"),)),
    },
    protocols=("linear", "knn", "finetune", "linear_mlp", "finetune_mlp"),
    recipe={  # LVM-Med, arXiv:2306.11925, appendices B and D.2; epochs as in the authors' release
        "linear": {"epochs": 20, "batch_size": 64, "weight_decay": 0.0},
        "finetune": {"epochs": 30, "batch_size": 64, "weight_decay": 0.0, "lr": 5e-4},
        "linear_mlp": {"epochs": 20, "batch_size": 64, "weight_decay": 0.0, "hidden": (512, 256)},
        "finetune_mlp": {"epochs": 30, "batch_size": 64, "weight_decay": 0.0, "lr": 5e-4, "hidden": (512, 256)},
    },
)
def brain_tumor(folder: Path) -> Splits:
    """The test set is Testing; 30 % of Training, drawn with scikit-learn's generator and seed 42, is for validation."""
    train, val = hold_out(_cases(folder, "Training"), 0.3, seed=42)
    return Splits(train, val, _cases(folder, "Testing"))


def _cases(folder: Path, part: str) -> tuple[Case, ...]:
    """Images in torchvision's ImageFolder order, which the draw depends on: by class, then by published file name."""
    cases = []
    for target, name in enumerate(brain_tumor.info.classes):
        images = index_by_stem(require_folder(folder, part, name))
        for stem in as_published(list(images), ".jpg"):
            cases.append(Case(f"{part}/{name}/{stem}", images[stem], target))
    return tuple(cases)
