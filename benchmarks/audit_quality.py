"""The leak audit on real images: which changes of an image it sees through, how often it is wrong, and how fast it is.

Reads the data sets named in SETS in their published layouts; one that is not there is left out. Found: the share of
images that are near to themselves after a change. False alarms: distinct images, of other patients where the set names
them, that are near each other.

    BENCH_DATA=FOLDER python benchmarks/audit_quality.py
"""

import argparse
import hashlib
import io
import os
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from scipy.stats import beta

from bench.data.images import read_image
from bench.data.likeness import THRESHOLD, near, perceptual_hash

SETS = {
    "kvasir": "Kvasir-SEG/images/*",
    "isic2018": "ISIC2018_Task1-2_Training_Input/*",
    "jsrt": "images/*",
    "acdc": "imagesTr/*.nii.gz",
    "msd_hippocampus": "Task04_Hippocampus/imagesTr/*.nii.gz",
    "buid": "Dataset_BUSI_with_GT/*/*",
    "brain_tumor": "*/*/*",
}
UNNAMED = ("buid", "brain_tumor")  # sets that do not say which images are of one patient

# Pairs of images of separate names that show one and the same scene, as was seen by looking at them.
TWINS = {
    ("kvasir", "cju30bmab08bi0835mvlr6e0r", "cju77k828z46w0871r0avuoo9"),
    ("kvasir", "cju76lsehyia10987u54vn8rb", "cju772304yw5t0818vbw8kkjf"),
    ("kvasir", "cju886ryxnsl50801r93jai7q", "cju8amfdtqi4x09871tygrgqe"),
    ("kvasir", "cju5fydrud94708507vo6oy21", "cju7avvi51iox0817ym55y6tt"),
    ("isic2018", "ISIC_0012290", "ISIC_0013594"),
    ("isic2018", "ISIC_0012756", "ISIC_0013184"),
    ("isic2018", "ISIC_0012672", "ISIC_0012673"),
}


# ---------------------------------------------------------------------------------------------- changes of an image


def encoded(form, quality):
    def change(image):
        file = io.BytesIO()
        Image.fromarray(image).save(file, form, quality=quality)
        return np.asarray(Image.open(file))

    return change


def scaled(down, across=None):
    def change(image):
        height, width = image.shape[:2]
        size = (max(1, round(width * (across or down))), max(1, round(height * down)))
        return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))

    return change


def toned(gain, offset):
    return lambda image: np.uint8(np.rint(np.clip(gain * image.astype(float) + offset, 0, 255)))


def gamma(power):
    return lambda image: np.uint8(np.rint(255 * (image / 255) ** power))


def windowed(low, high):
    def change(image):
        bottom, top = np.percentile(image, [low, high])
        return toned(255 / max(top - bottom, 1), -255 * bottom / max(top - bottom, 1))(image)

    return change


def cut(down, across):
    def change(image):
        height, width = (round(share * side) for share, side in zip((down, across), image.shape[:2], strict=True))
        return np.ascontiguousarray(image[height : len(image) - height, width : image.shape[1] - width])

    return change


def framed(down, across, grey=0):
    def change(image):
        height, width = (round(share * side) for share, side in zip((down, across), image.shape[:2], strict=True))
        sides = [(height, height), (width, width), (0, 0)][: image.ndim]
        return np.pad(image, sides, constant_values=grey)

    return change


def rotated(degrees):
    return lambda image: np.asarray(Image.fromarray(image).rotate(degrees, Image.Resampling.BICUBIC))


def noisy(image):
    noise = np.random.default_rng(0).normal(0, 8, image.shape)
    return np.uint8(np.clip(image + noise, 0, 255))


def other_mode(image):
    mode = "L" if image.ndim == 3 else "RGB"
    return np.asarray(Image.fromarray(image).convert(mode))


def mixed(image):
    return encoded("JPEG", 50)(toned(0.9, 20)(scaled(0.6)(image)))


CHANGES = {
    "JPEG 95": encoded("JPEG", 95),
    "JPEG 75": encoded("JPEG", 75),
    "JPEG 50": encoded("JPEG", 50),
    "JPEG 30": encoded("JPEG", 30),
    "WebP 50": encoded("WEBP", 50),
    "to 50 %": scaled(0.5),
    "to 75 %": scaled(0.75),
    "to 200 %": scaled(2),
    "width to 80 %": scaled(1, 0.8),
    "grey, RGB": other_mode,
    "blur, 1 pixel": lambda image: np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(1))),
    "noise of 8 levels": noisy,
    "60 %, tone, JPEG 50": mixed,
    "25 levels brighter": toned(1, 25),
    "25 levels darker": toned(1, -25),
    "contrast 0.7": toned(0.7, 38),
    "contrast 1.4": toned(1.4, -51),
    "gamma 0.7": gamma(0.7),
    "gamma 1.4": gamma(1.4),
    "window of 1 to 99 %": windowed(1, 99),
    "window of 5 to 95 %": windowed(5, 95),
    "window of 0 to 90 %": windowed(0, 90),
    "frame of 2 %": framed(0.02, 0.02),
    "frame of 5 %": framed(0.05, 0.05),
    "letter-box of 10 %": framed(0.1, 0),
    "the same, white": framed(0.1, 0, 255),
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "mirrored, JPEG 50": lambda image: encoded("JPEG", 50)(np.ascontiguousarray(image[:, ::-1])),
    "upside down": lambda image: np.ascontiguousarray(image[::-1]),
    "turned by 90 degrees": lambda image: np.ascontiguousarray(np.rot90(image)),
    "negative": lambda image: 255 - image,
    "rotated by 1 degree": rotated(1),
    "rotated by 3 degrees": rotated(3),
    "cropped by 1 % a side": cut(0.01, 0.01),
    "cropped by 2 % a side": cut(0.02, 0.02),
    "cropped by 5 % a side": cut(0.05, 0.05),
}


# ------------------------------------------------------------------------------------------------------ measurements


def read(root, name):
    """(case, image) of each image or slice of a data set."""
    for path in sorted((root / name).glob(SETS[name])):
        if path.name.endswith(".nii.gz"):
            import nibabel

            volume = np.asarray(nibabel.load(path).dataobj, float)
            grey = np.uint8(np.rint(255 * (volume - volume.min()) / np.ptp(volume)))
            case = path.name.removesuffix(".nii.gz").split("_frame")[0]
            yield from ((case, np.ascontiguousarray(grey[:, :, z])) for z in range(grey.shape[2]))
        elif path.is_file() and not path.name.startswith(".") and "_mask" not in path.name:
            yield path.relative_to(root / name).with_suffix("").as_posix(), read_image(path)


def found(images, rows):
    """The share of images that are near to themselves, by change."""
    shares = {}
    for change, make in CHANGES.items():
        pairs = near(np.stack([perceptual_hash(make(image)) for image in images]), rows)
        shares[change] = (pairs[:, 0] == pairs[:, 1]).sum() / len(images)
    return shares


def upper(events, trials):
    """The upper end of Clopper and Pearson's 95 % interval of a share."""
    return beta.ppf(0.975, events + 1, trials - events) if trials else 1.0


def false_alarms(name, cases, rows):
    """Pairs of distinct images, of separate cases, that are near; less the ones seen to be one scene."""
    pairs = near(rows, rows)
    pairs = [(a, b) for a, b, _ in pairs.tolist() if a < b and cases[a] != cases[b]]
    names = [Path(case).name for case in cases]
    wrong = [(a, b) for a, b in pairs if (name, *sorted((names[a], names[b]))) not in TWINS]
    images = len({row for pair in wrong for row in pair})
    compared = (len(rows) ** 2 - sum(count**2 for count in np.unique(cases, return_counts=True)[1].tolist())) // 2
    print(
        f"{name}: {len(rows)} images of {len(set(cases))} cases; near, of separate cases: {len(pairs)} pairs, "
        f"{len(pairs) - len(wrong)} of them seen to be one scene; others: {len(wrong)} of {compared:,} pairs, "
        f"{images} images ({images / len(rows):.2%})"
    )
    return images, len(wrong), compared


def brain_tumor(cases, images, rows):
    """How many test images stand in the training part, by bytes and by look."""
    pixels = [hashlib.sha256(image.tobytes()).digest() for image in images]
    training, testing = ([i for i, case in enumerate(cases) if case.startswith(p)] for p in ("Training", "Testing"))
    pairs = near(rows[training], rows[testing])
    for side, mine, others in ((0, training, testing), (1, testing, training)):
        other = {pixels[i] for i in others}
        same = {i for i, row in enumerate(mine) if pixels[row] in other}
        alike = set(pairs[:, side].tolist())
        part = ("training", "test")[side]
        print(f"brain_tumor: of {len(mine)} {part} images {len(same)} are the same as one of the other part, ", end="")
        print(f"{len(alike - same)} more are near one, {len(same - alike)} of the same are missed")


def speed(n=1_300_000, m=5_000, planted=1_000):
    rng = np.random.default_rng(0)
    corpus, scored = (rng.integers(0, 2**64, (rows, 8), dtype=np.uint64) for rows in (n, m))
    places = rng.choice(n, planted, replace=False)
    corpus[places] = scored[rng.integers(0, m, planted)] ^ np.uint64(0b1011 << 20)  # three bits of each word
    began, busy = time.perf_counter(), time.process_time()
    pairs = near(corpus, scored)
    took, busy = time.perf_counter() - began, time.process_time() - busy
    missed = len(set(places.tolist()) - set(pairs[:, 0].tolist()))
    print(f"near: {n:,} x {m:,} hashes in {took:.0f} s, {busy:.0f} s of a core; {planted} planted, ", end="")
    print(f"{missed} missed, {len(pairs)} pairs found")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=150, help="images of a set that are changed")
    asked = parser.parse_args()
    root = Path(os.environ.get("BENCH_DATA", "data"))
    shares, wrong, everything = {}, [], {}
    for name in SETS:
        cases, images = zip(*read(root, name), strict=True) if (root / name).is_dir() else ((), ())
        if not images:
            print(f"{name}: not in {root}")
            continue
        began = time.perf_counter()
        rows = np.stack([perceptual_hash(image) for image in images])
        print(f"{name}: {1000 * (time.perf_counter() - began) / len(images):.2f} ms a hash, of {images[0].shape}")
        alarms = false_alarms(name, cases, rows)
        everything[name] = rows
        if name not in UNNAMED:
            wrong.append((len(images), *alarms))
        if name == "brain_tumor":
            brain_tumor(cases, images, rows)
        sample = np.sort(np.random.default_rng(0).permutation(len(images))[: asked.sample])
        shares[name] = found([images[i] for i in sample], rows[sample])
    if wrong:
        images, bad, pairs, compared = (sum(column) for column in zip(*wrong, strict=True))
        print(f"\nfalse alarms at {THRESHOLD} bits, without {' and '.join(UNNAMED)}: {bad} of {images} images ", end="")
        print(
            f"(at most {upper(bad, images):.3%}), {pairs} of {compared:,} pairs (at most {upper(pairs, compared):.1e})"
        )
        names = list(everything)
        across = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
        compared = sum(len(everything[a]) * len(everything[b]) for a, b in across)
        pairs = sum(len(near(everything[a], everything[b])) for a, b in across)
        print(f"across sets: {pairs} of {compared:,} pairs (at most {upper(pairs, compared):.1e})")
    print(f"\n| found, % | {' | '.join(shares)} | all |\n| --- |{' --- |' * (len(shares) + 1)}")
    for change in CHANGES:
        row = [share[change] for share in shares.values()]
        print(f"| {change} | {' | '.join(f'{100 * share:.0f}' for share in row)} | {100 * np.mean(row):.1f} |")
    print()
    speed()


if __name__ == "__main__":
    main()
