"""A key changes with what can change a number, and with nothing else, and is the same in every release."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import keys

SOURCE = '''"""A module."""
import math


class Method:
    """A class."""

    size = 3

    def loss(self, x):
        """A function."""
        return x + math.tau  # a comment


async def wait():
    "Nothing but this."
'''


def test_canonical_is_one_spelling():
    assert keys.canonical({"b": "é", "a": [1, 2.5, None, True]}) == '{"a":[1,2.5,null,true],"b":"\\u00e9"}'
    assert keys.canonical({"x": {"b": 1, "a": 2}}) == keys.canonical({"x": {"a": 2, "b": 1}})
    assert keys.canonical({"x": (1, 2)}) == keys.canonical({"x": [1, 2]})
    assert keys.canonical(1) != keys.canonical(1.0) != keys.canonical(True)
    assert keys.canonical([1, 2]) != keys.canonical([2, 1])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        keys.digest({"lr": [value]})


def test_what_has_no_plain_form_is_refused():
    with pytest.raises(TypeError, match="not JSON serializable"):
        keys.digest({"x": object()})


def test_a_digest_is_the_same_for_ever():
    """By `printf %s '{"a":[1,2.5,null,true],"b":"\\u00e9"}' | sha256sum`: a stored record is found by this value."""
    assert keys.digest({"b": "é", "a": (1, 2.5, None, True)}) == "c66fca9242300f12718a1c583fc29f33"


def test_a_digest_does_not_depend_on_the_process():
    code = "from bench.keys import digest; print(digest({k: {k: k} for k in {'b', 'a', 'c', 'd'}}))"
    seeds = ("0", "1", "2")
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in seeds
    }
    assert found == {keys.digest({k: {k: k} for k in "abcd"}) + "\n"}


def test_plain_is_what_json_gives_back():
    assert keys.plain({1: (1, (2,)), "p": Path("a") / "b", "n": None}) == {"1": [1, [2]], "p": "a/b", "n": None}
    assert type(keys.plain(2)) is int


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # a comment", ""),
        ('"""A module."""', '"""Another\n\nidea."""'),
        ('"""A module."""\n', ""),
        ('    """A class."""\n\n', ""),
        ('        """A function."""\n', ""),
        ('    "Nothing but this."\n', "    pass\n"),
        ("x + math.tau", "(\n            x\n            + math.tau\n        )"),
        ("\n\n\n", "\n"),
    ],
)
def test_a_source_is_the_same_whatever_its_comments_docstrings_and_layout(old, new):
    assert old in SOURCE
    assert keys.source_digest(SOURCE.replace(old, new)) == keys.source_digest(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("size = 3", "size = 4"),
        ("x + math.tau", "x - math.tau"),
        ("return x", "return -x"),
        ("def loss(self, x)", "def loss(self, x, *, y=1)"),
        ("async def", "def"),
        ("import math", "import cmath as math"),
        ("size = 3", 'size = "a string"'),
        ("        return x", '        y = "no docstring"\n        return x'),
    ],
)
def test_a_source_with_other_code_is_another(old, new):
    assert old in SOURCE
    assert keys.source_digest(SOURCE.replace(old, new)) != keys.source_digest(SOURCE)


PLUGIN = """
@foundation_model("mine", paper="none", image_size=32{})
def mine(backbone):
    return backbone
"""
PROTOCOL = """
@spec.protocol("seen", title="t"{})
def seen(encoder, context):
    return encoder
"""
OTHER = """
@grouped("x"{})
def other(images):
    return images
"""


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (PLUGIN, ', group="supervised"'),
        (PLUGIN, ', may_have_seen=("kvasir", "*")'),
        (PLUGIN, ', group="a", may_have_seen=()'),
        (PROTOCOL, ', family="prompt-based"'),
    ],
)
def test_what_a_plugin_says_for_readers_of_a_board_is_no_part_of_a_key(source, said):
    assert keys.source_digest(source.format(said)) == keys.source_digest(source.format(""))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (PLUGIN, ", tokens=True"),
        (PLUGIN, ', trained_on="kvasir"'),
        (PLUGIN, ', family="x"'),
        (PROTOCOL, ', target="mask"'),
        (PROTOCOL, ', group="x"'),
        (OTHER, ', group="x"'),
        (OTHER, ', family="x"'),
        (OTHER, ', may_have_seen="x"'),
    ],
)
def test_whatever_else_a_decorator_is_given_is(source, said):
    assert keys.source_digest(source.format(said)) != keys.source_digest(source.format(""))


def test_calls_and_settings_of_those_names_are_code():
    """Only decorators say something for readers alone."""
    for text in ("x = protocol(family={})", "def f(*, group={}): ...", "foundation_model(group={})(build)"):
        assert keys.source_digest(text.format(1)) != keys.source_digest(text.format(2))


def test_a_source_digest_is_the_same_for_ever():
    """By `printf 'def f(x):\\n    return x + 1' | sha256sum`."""
    assert keys.source_digest('def f( x ):\n\t"doc"\n\treturn x+1 # one') == "45b055c60d6d05a8"
    with pytest.raises(SyntaxError):
        keys.source_digest("def f(:")


def test_a_file_digest_is_that_of_its_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert keys.file_digest(tmp_path / "file").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_differences_name_the_part_and_both_values():
    old = {"seed": 0, "gone": [1], "same": 1, "protocol": {"settings": {"epochs": 20, "lr": None}}}
    new = {"seed": 0, "come": {"a": 1}, "same": 1, "protocol": {"settings": {"epochs": 10, "lr": None}}}
    assert list(keys.differences(old, new)) == [
        'come: (new) {"a":1}',
        "gone: [1] -> (gone)",
        "protocol.settings.epochs: 20 -> 10",
    ]
    assert not list(keys.differences(old, old))
    assert list(keys.differences({"a": {"b": 1}}, {"a": None})) == ['a: {"b":1} -> null']
    assert list(keys.differences({"a": 1}, {"a": 1.0})) == ["a: 1 -> 1.0"]  # their keys differ


def test_changes_hold_the_values_themselves():
    old, new = {"a": {"b": [1], "c": None}}, {"a": {"b": [2], "d": "x"}}
    assert list(keys.changes(old, new)) == [("a.b", [1], [2]), ("a.c", None, ...), ("a.d", ..., "x")]


def test_a_long_value_is_cut():
    (line,) = keys.differences({"a": "x" * 100}, {"a": "y"})
    assert re.fullmatch(r'a: "x{36}\.\.\. -> "y"', line)
