"""Leaderboards: the store's per-case values as one Table object, and that object in every format.

`table` is pure arithmetic on results; `formats` says what a Table holds, and computes nothing. Neither imports torch.
"""
