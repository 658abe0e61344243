"""What a probe makes of the reports that it hears."""

import pytest

from bench.errors import Stopped
from bench.measure import HARDLY, LESS, SURE, Clock, Timed, _epochs, _extended, _share
from bench.spec import Scores

SCORES = Scores((), {}, {})


def ends(steps, epochs, *, start=0.0, before=0.0, step=1.0, after=0.0):
    """When the steps end of epochs with a beginning and an end of their own."""
    now, times = start, []
    for _ in range(epochs):
        now += before
        for number in range(steps):
            now += step + (after if number == steps - 1 else 0)
            times.append(now)
    return times


@pytest.mark.parametrize("whole", [4, 40])
def test_a_pretraining_is_extended_by_steps_with_what_comes_before_and_after_each_epoch(whole):
    share = 4 / whole
    told, factor = _epochs(ends(4, 4, start=3, before=2 * share, after=0.5), 4, share, 10)
    # What comes before grows with the images, what comes after does not; what it took to begin counts once.
    assert told == pytest.approx(3 + 2 * share + 10 * (whole + 2 + 0.5), rel=0.01)
    assert factor == SURE


def test_a_few_steps_tell_little_and_are_not_trusted():
    told, factor = _epochs([5.0, 6.0], 4, 0.1, 10)
    assert told == pytest.approx(4 + 400)
    assert factor == HARDLY
    assert _epochs([2.0], 1, 1.0, 10)[0] == pytest.approx(20)


def test_reports_are_extended_by_the_rate_of_those_that_count_the_same():
    clock = Clock()
    clock.reports = [(1.0, "features", 5, 5), (4.0, "epochs", 1, 10), (6.0, "epochs", 2, 10), (8.0, "epochs", 3, 10)]
    assert clock.whole() == (8 + 7 * 2, True)
    clock.reports = clock.reports[:2]
    assert clock.whole() == (40, False)


def test_the_first_report_after_its_time_ends_a_probe():
    Clock(limit=1000.0).progress("epochs", 1, 2)
    with pytest.raises(Stopped):
        Clock(limit=0.0).progress("epochs", 1, 2)


def part(cases, rest, *, build=0.0, told=True, scores=SCORES):
    return Timed(cases, build, rest, 0.0, told, scores)


def test_a_cell_is_extended_along_the_line_through_two_parts():
    assert _extended([part(20, 12.0, build=1.0), part(80, 18.0, build=1.0)], 800) == (1 + 18 + 72, SURE)
    assert _extended([part(20, 12.0)], 200) == (120, LESS)
    assert _extended([part(20, 12.0, told=False, scores=None)], 200) == (120, HARDLY)
    assert _extended([part(20, 12.0), part(30, 15.0)], 30) == (15, SURE)  # that was all of it


def test_a_part_is_even_and_has_two_cases_at_least():
    assert _share(range(100), 0.04) == (0, 25, 50, 75)
    assert _share(range(100), 0.001) == (0, 50)
    assert _share(range(3), 1.0) == (0, 1, 2)
    assert _share((), 0.5) == ()
