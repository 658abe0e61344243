"""A folder of one's own: images in one folder, and for each a mask of the same name in another.

It is read under a name of one's own, here `my_polyps`, from a folder of that name among the data sets:

    [tasks.my_polyps]
    plugin = "pairs"
    protocols = ["finetune"]

With two classes what is white in a mask is the structure; with more, the files hold numbers of classes, 0 being the
first. The strict convention is primary: mean Dice of all structures at an image's own resolution.
"""

from collections.abc import Sequence
from pathlib import Path

from bench.data.folders import require_folder
from bench.data.splits import divide, pair_images
from bench.errors import BenchError
from bench.spec import Image, Part, Splits, Truth, task


@task(
    "pairs",
    title="Images and masks of one's own",
    modality="any",
    classes=("background", "structure"),
    case="image",
    licence="one's own",
    citation="none",
    url="none: put images/ and masks/ into its folder",
    layout={"images": Part(0, (Image("images/{n:03d}.png"), Truth("masks/{n:03d}.png", {n: n for n in range(256)})))},
    protocols=("finetune", "frozen"),
    primary="dice",
    target="mask",
    release=("dice", (1,)),
)
def pairs(
    folder: Path,
    *,
    images: str = "images",
    masks: str = "masks",
    suffix: str = "",
    classes: Sequence[str] = ("background", "structure"),
    split: str = "",
) -> Splits:
    """A mask is called like its image, and then `suffix`, whatever the formats; both may lie in one folder.

    `split` names a list of train, val and test (see `bench.data.splits`), a path from the folder that holds the data
    sets; without it 64 / 16 / 20 % are drawn by image, seed 42.
    """
    if not 2 <= len(classes) <= 255:
        raise BenchError(f"{folder}: `classes` needs the background and 1 to 254 structures, got {list(classes)}")
    label = 1 if len(classes) == 2 else 0
    return divide(
        pair_images(require_folder(folder, images), require_folder(folder, masks), suffix, label), folder, split
    )
