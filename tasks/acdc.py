"""ACDC: right ventricle, myocardium and left ventricle in cine MRI of the heart, at the end of diastole and of systole.

Read in the layout of the Medical Segmentation Decathlon, to which copies of it are mostly converted (nnU-Net's is one).
A case is a volume, and both volumes of a patient go into the same part. The strict convention is primary: mean Dice of
the three structures over a whole volume on its own grid. LVM-Med has no such task; what its released code would score
(class 1 alone, on the resized grid) is stored beside it.
"""

from pathlib import Path

from bench.data.decathlon import read_cases
from bench.data.splits import three_way
from bench.spec import Image, Part, Splits, Text, Truth, task

ABOUT = (
    '{"name": "ACDC", "tensorImageSize": "3D", "modality": {"0": "MRI"}, "numTraining": 300, '
    '"labels": {"0": "background", "1": "RV", "2": "Myo", "3": "LV"}}'
)
RECIPE = {"image_size": 224, "batch_size": 32, "lr": 1e-3, "epochs": 30}  # ours, near LVM-Med's for MMWHS-MRI


@task(
    "acdc",
    title="Automated Cardiac Diagnosis Challenge",
    modality="cine MRI",
    classes=("background", "RV", "Myo", "LV"),
    case="volume",
    licence="CC BY-NC-SA 4.0",
    citation="Bernard et al., Deep Learning Techniques for Automatic MRI Cardiac Multi-Structures Segmentation and "
    "Diagnosis, IEEE TMI 2018, doi:10.1109/TMI.2018.2837502",
    url="https://www.creatis.insa-lyon.fr/Challenge/acdc/",
    layout={
        "volumes": Part(  # of 150 patients
            300,
            (
                Image("imagesTr/patient{pair:03d}_frame{fold:02d}.nii.gz"),
                Truth("labelsTr/patient{pair:03d}_frame{fold:02d}.nii.gz", {1: 1, 2: 2, 3: 3}),
                Text("dataset.json", ABOUT),
            ),
        )
    },
    protocols=("finetune", "frozen"),
    primary="dice",
    target="mask",
    recipe={"finetune": RECIPE, "frozen": RECIPE},
)
def acdc(folder: Path) -> Splits:
    """Patients are split at random with seed 42; nnU-Net calls the myocardium MLV and the left ventricle LVC."""
    alike = {"MLV": "Myo", "LVC": "LV"}
    return three_way(read_cases(folder, acdc.info.classes, patient=r"patient\d+", alike=alike))
