"""Table 13 as printed: what it adds up to, and where the paper's own figures and lists agree with it or do not."""

import pytest

from bench.data.catalog import on_disk, read_catalog, shares

ENTRIES = read_catalog()


def test_the_table_has_55_rows_that_add_up_to_the_papers_total():
    assert [entry.number for entry in ENTRIES] == list(range(1, 56))
    assert len({entry.name for entry in ENTRIES}) == 55
    assert sum(entry.total for entry in ENTRIES) == 1_294_015


def test_figures_8_and_9_count_data_sets_and_not_images():
    """So counted they agree in every printed digit; counted by images, 3D sets would be 8 % and not 40 %."""
    found = {name: round(100 * share, 1) for name, share in shares(ENTRIES).items()}
    printed = {"Color images": 43.6, "Other Grayscale": 3.6, "CT": 15.5, "MRI": 24.5, "X-ray": 12.7}
    assert found == printed
    volumes = [entry for entry in ENTRIES if entry.dimension == "3D"]
    assert len(volumes) / len(ENTRIES) == pytest.approx(0.40)
    assert sum(entry.total for entry in volumes) / 1_294_015 == pytest.approx(0.08, abs=0.005)


def test_what_the_table_calls_wrongly_is_said():
    wrong = {entry.name: entry.actual for entry in ENTRIES if entry.actual}
    assert sum(name.startswith("TCGA-") for name in wrong) == 8
    assert {name for name, actual in wrong.items() if actual == "CT"} == {
        *("MSD-Liver", "MSD-Lung", "MSD-Pancreas", "MSD-HepaticVessel", "MSD-Spleen", "MSD-Colon", "COVIDx"),
    }
    assert {entry.modality for entry in ENTRIES} == {
        "Color images",
        "CT",
        "MRI",
        "MRI/CT",
        "X-ray",
        "OCT",
        "Ultrasound",
    }


def test_released_lists_differ_from_the_printed_totals_in_most_rows():
    listed = [entry for entry in ENTRIES if entry.listed is not None]
    assert {entry.name for entry in ENTRIES} - {entry.name for entry in listed} == {"HNSCC", "COVIDx", "Heidelberg OCT"}
    assert all(entry.unit for entry in listed)
    assert sum(entry.listed == entry.total for entry in listed) == 6


def test_a_data_set_is_found_on_disk_whatever_the_case_of_its_folder(tmp_path):
    assert on_disk(ENTRIES, tmp_path / "none") == {}
    (tmp_path / "msd_heart/imagesTr").mkdir(parents=True)
    for name in ("dataset.json", "imagesTr/la_003.nii.gz", "imagesTr/.hidden"):
        (tmp_path / "msd_heart" / name).touch()
    (tmp_path / "BCSS").touch()  # a file is no data set
    found = on_disk(ENTRIES, tmp_path)
    assert [(number, place.folder.name, place.files) for number, place in found.items()] == [(6, "msd_heart", 2)]
