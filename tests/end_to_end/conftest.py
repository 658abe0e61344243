"""The command line, called in the process of the test."""

import sys

import pytest

from bench.cli import main


@pytest.fixture
def bench(monkeypatch, capsys):
    """Call the command in this process: what it printed, or, with the code 2, what it complained of."""

    def call(*words: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["bench", *words])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        assert (end.value.code or 0) == code, out + err
        return err if code == 2 else out

    return call
