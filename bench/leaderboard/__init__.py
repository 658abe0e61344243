"""Leaderboards: the store's per-case values as one Table object, and that object in every format.

`table` is pure arithmetic on results; `screen`, `formats` and `latex` say what a Table holds, and compute nothing. None
of them imports torch.
"""
