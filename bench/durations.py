"""Times as people and clusters write them: `90 s`, `30 min`, `2 h`, `1 d`, `01:30:00`, `2-12:00:00`."""

import re

from bench.errors import BenchError

UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def seconds(text: str, where: str) -> float:
    """A duration in seconds; 0 for an empty text, which is no limit. Raises BenchError that says the forms."""
    if not text.strip():
        return 0.0
    if spoken := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", text):
        number, unit = spoken.groups()
        if unit in UNITS and float(number) > 0:
            return float(number) * UNITS[unit]
    elif clock := re.fullmatch(r"\s*(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)\s*", text):
        days, hours, minutes, rest = (int(part or 0) for part in clock.groups())
        if total := ((days * 24 + hours) * 60 + minutes) * 60 + rest:
            return float(total)
    raise BenchError(f'{where}: `{text}` is no duration; write "90 s", "30 min", "2 h", "01:30:00" or "1-12:00:00"')


def duration(span: float) -> str:
    """Seconds as a person says them: 8 s, 3 min 20 s, 2 h 05 min."""
    if span < 60:
        return f"{span:.0f} s"
    minutes, rest = divmod(round(span), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
