"""JSON of data sets: keys that come twice, entries that are told by their line, and what is no JSON."""

import json
import random

import pytest

from bench.data.json_files import located, place, read_json, require
from bench.errors import BenchError


@pytest.fixture
def write(tmp_path):
    def to(content):
        path = tmp_path / "a.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return to


def test_content_is_read_with_and_without_a_mark_of_the_byte_order(write):
    wanted = {"a": [1, 2.5, None, True], "é": {"b": "ü"}}
    for text in (json.dumps(wanted), json.dumps(wanted, ensure_ascii=False, indent=1), "\ufeff" + json.dumps(wanted)):
        assert read_json(write(text)) == wanted


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"a": 1,}', b"\xff\xfe{}", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"{} {}", b"<html>"],
)
def test_what_is_no_json_is_refused(write, content):
    with pytest.raises(BenchError, match=r"a\.json: cannot be read as JSON: "):
        read_json(write(content))


def test_what_cannot_be_opened_is_refused(tmp_path):
    for path, reason in ((tmp_path, "Is a directory"), (tmp_path / "none.json", "No such file")):
        with pytest.raises(BenchError, match=rf"{path.name}: cannot be read as JSON: {reason}"):
            read_json(path)


# ------------------------------------------------------------------------------------------- keys twice


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ('{"a": 1,\n"a": 2}', 2, "a"),
        ('[{"id": 1},\n{"id": 2},\n{"id": 3,\n"x": 0,\n"id": 4}]', 5, "id"),  # other objects have the key too
        ('{"a": {"b": 1},\n"b": 2,\n"c": {"b": [\n{"é": 1,\n"é": 1}]}}', 5, "é"),
        ('{"s": "\\"s\\": {",\n"t": 1,\n"s": 1}', 3, "s"),  # in text, it is no key
        ('{"a": 1,\n"\\u0061": 2}', 2, "a"),
        ('\n\n{"a" :\n 1, "b" : [],\n\n"a"\n: {}}', 6, "a"),
        ("[" * 900 + '{"a": 1,\n"a": 2}' + "]" * 900, 2, "a"),
    ],
)
def test_a_key_that_is_there_twice_is_refused_at_the_second(write, text, line, key):
    """Parsers keep the last, in which the boxes of an image are lost."""
    with pytest.raises(BenchError, match=rf"a\.json:{line}: `{key}` is there twice; keep one"):
        read_json(write(text))


# ------------------------------------------------------------------------------------------- lines


def drawn(draws, depth=0):
    """A value as a file may have it, with text that looks like JSON."""
    kind = draws.randrange(6 if depth < 4 else 4)
    if kind < 4:
        return draws.choice(['"', "}], {", "a: b", "\\", "é\n", "", None, True, -1, 2.5e300, 0, float("inf")])
    parts = [drawn(draws, depth + 1) for _ in range(draws.randrange(5))]
    if kind == 4:
        return parts
    return {f"{draws.choice(['k', 'é', ':', chr(34)])}{n}": part for n, part in enumerate(parts)}


def walk(value, keys=()):
    yield keys, value
    if isinstance(value, (dict, list)):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from walk(part, (*keys, key))


@pytest.mark.parametrize("indent", [None, 0, 2, "\t"])
def test_every_entry_is_told_by_the_line_that_it_begins_on(write, indent):
    draws, lines = random.Random(0), set()
    for number in range(40):
        content = [drawn(draws) for _ in range(4)]
        plain = json.dumps(content, indent=indent, ensure_ascii=number % 2 == 0)
        path = write(("\ufeff" if number % 3 == 0 else "") + plain)
        for keys, value in walk(content):
            if not keys:
                continue
            *outer, last = keys
            marked = json.loads(json.dumps(content))
            holder = marked
            for key in outer:
                holder = holder[key]
            holder[last] = "HERE"
            text = json.dumps(marked, indent=indent, ensure_ascii=number % 2 == 0)
            line = text[: text.index('"HERE"')].count("\n") + 1
            assert place(path, *keys) == f"{path}:{line}", (keys, value)
            lines.add(line)
    assert lines == {1} if indent is None else len(lines) > 20


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ((), 1),
        (("none",), 1),
        (("b", "no"), 3),
        (("b", "no", 5), 3),
        (("c", 1), 6),
        (("c", 2), 6),
        (("a", "x"), 2),
        (("d", "no"), 8),
    ],
)
def test_what_is_not_there_is_told_by_what_should_have_it(write, keys, line):
    path = write('{\n"a": 5,\n"b": {\n"y": "no"\n},\n"c": [\n1],\n"d": {}, "no": [{"no": 1}]}')
    assert place(path, *keys) == f"{path}:{line}"


def test_a_file_that_is_none_is_told_by_its_path_alone(write, tmp_path):
    assert place(tmp_path / "none.json", "a") == str(tmp_path / "none.json")
    for content in (b"\xff", b'{"b": nonsense, "a": 1}'):
        assert place(write(content), "a") == str(tmp_path / "a.json")


def test_an_error_gets_the_place_of_its_entry(write):
    path = write('{"a": [\n1,\n2]}')
    with pytest.raises(BenchError, match=r"a\.json:3: is wrong$"), located(path, "a", 1):
        raise BenchError("is wrong")
    with pytest.raises(ValueError, match=r"^is wrong$"), located(path, "a", 1):
        raise ValueError("is wrong")


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        ([1], dict, r"an object, is \[1\]"),
        ({}, list, r"a list, is \{\}"),
        (None, list, "a list, is null"),
        (1, str, "text, is 1"),
        (True, int, "a whole number, is true"),
        (1.0, int, r"a whole number, is 1\.0"),
        (["x" * 1000], dict, r'an object, is \["x{35}\.\.\.$'),
    ],
)
def test_a_value_of_another_kind_is_refused(write, content, kind, said):
    path = write('{\n"a": 1}')
    with pytest.raises(BenchError, match=rf"a\.json:2: `a` must be {said}"):
        require(content, kind, path, "`a`", "a")
    assert require(kind(), kind, path, "`a`", "a") == kind()
