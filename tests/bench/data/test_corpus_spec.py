"""Descriptions of corpora: every mistake is named before anything is written."""

import pytest

from bench.data.corpus import build
from bench.data.corpus_spec import load
from bench.errors import BenchError


@pytest.fixture(scope="module")
def root(tmp_path_factory, picture):
    place = tmp_path_factory.mktemp("root")
    for i in range(3):
        picture(place / f"skin/lesion {i}.png")
        picture(place / f"chest/{i}.png")
    (place / "mixed").mkdir()
    (place / "mixed/a.nii").touch()
    picture(place / "mixed/b.png")
    (place / "empty").mkdir()
    return place


FOLDER = '[sources.d]\nfolder = "skin"\nmodality = "m"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "needs a source"),
        ("[corpsu]\nsize = 1", r"unknown section `corpsu`; did you mean `corpus`"),
        ("[corpus]\nsiez = 1", "unknown key `siez`; did you mean `size`"),
        ("[corpus]\nsample = 0.0\n" + FOLDER, "above 0 and at most 1"),
        (FOLDER + "sample = 1.5", "above 0 and at most 1"),
        (FOLDER + 'task = "brain_tumor"', "needs either `task` or `folder`"),
        ("[sources.d]", "needs either `task` or `folder`"),
        ('[sources.d]\nfolder = "skin"', "needs `modality`"),
        ('[sources.d]\ntask = "brain_tumour"', "did you mean `brain_tumor`"),
        ('[sources.d]\ntask = "brain_tumor"\ncase = "(x)"', "a task says itself"),
        (FOLDER + "axis = 3", "unknown value `3`"),
        (FOLDER + 'part = "train"', "key of a `list` in JSON"),
        (FOLDER + 'case = "("', "no regular expression"),
        (FOLDER + 'case = "lesion"', "needs one group"),
        (FOLDER + 'case = "(lesoin)"', r"`\(lesoin\)` matches no path, such as `lesion 0.png`"),
        (FOLDER + 'list = "none.txt"', "cannot be read as a list"),
        (FOLDER + 'list = "other.txt"', "none of its 1 lines names a file"),
        (FOLDER + 'kind = "dicom"', "holds no dicom, but 3 of images"),
        ('[sources.d]\nfolder = "skni"\nmodality = "m"', "has no folder skni"),
        ('[sources.d]\nfolder = "empty"\nmodality = "m"', "holds no file of images, volumes, dicom or hdf5"),
        ('[sources.d]\nfolder = "mixed"\nmodality = "m"', "more than one kind"),
        (FOLDER + '[sources.e]\nfolder = "chest"\nmodality = "M"', "`M` is also spelt `m`"),
        ("[", "not readable as TOML"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(root, tmp_path, text, said):
    (tmp_path / "other.txt").write_text("unheard.png")
    path = tmp_path / "spec.toml"
    path.write_text(text)
    with pytest.raises(BenchError, match=said):
        build(path, tmp_path / "out", data_root=root)
    assert not (tmp_path / "out").exists()


def test_a_description_that_is_not_there(tmp_path):
    with pytest.raises(BenchError, match="no such description"):
        build(tmp_path / "none.toml", tmp_path / "out")


def test_the_root_is_given_by_argument_environment_or_description(root, tmp_path, monkeypatch):
    (tmp_path / "spec.toml").write_text(f'[corpus]\nroot = "here"\n{FOLDER}')
    spec = load(tmp_path / "spec.toml")
    assert spec.data_root(None) == tmp_path / "here"
    monkeypatch.setenv("BENCH_DATA", "/there")
    assert str(spec.data_root(None)) == "/there"
    assert spec.data_root(root) == root
