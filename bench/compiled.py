"""Functions compiled to machine code by numba. Importing this brings numba, so it is imported where it is needed."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def kernel(function: Kernel) -> Kernel:
    """Compile at the first call, and keep the machine code where the installation or a user's cache can be written."""
    plain = inspect.unwrap(function)  # a run-time type checker may have wrapped it
    try:
        compiled = numba.njit(plain, nogil=True, forceinline=True, cache=True)
    except RuntimeError:  # nowhere to keep it
        compiled = numba.njit(plain, nogil=True, forceinline=True)
    return compiled  # type: ignore[no-any-return]
