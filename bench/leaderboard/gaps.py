"""The common sub-grid: which rows and columns are complete together, once those with the most gaps are left out."""

import numpy as np
from jaxtyping import Bool, Int


def common(full: Bool[np.ndarray, "rows columns"]) -> tuple[Int[np.ndarray, " kept"], Int[np.ndarray, " kept_too"]]:
    """The rows and the columns, by index, between which nothing is missing.

    While something is, the row or the column with the largest share of gaps goes, a column before a row where they are
    equal; what has none among those left in the end comes back, columns first. No row is left where no column is.
    """
    rows, columns, left = np.arange(full.shape[0]), np.arange(full.shape[1]), full
    while left.size and not left.all():
        of_rows, of_columns = 1 - left.mean(axis=1), 1 - left.mean(axis=0)
        if of_columns.max() >= of_rows.max():
            worst = int(of_columns.argmax())
            columns, left = np.delete(columns, worst), np.delete(left, worst, axis=1)
        else:
            worst = int(of_rows.argmax())
            rows, left = np.delete(rows, worst), np.delete(left, worst, axis=0)
    if not left.size:
        return rows[:0], columns[:0]
    columns = np.flatnonzero(full[rows].all(axis=0))
    return np.flatnonzero(full[:, columns].all(axis=1)), columns
