"""Sixteen floats at a time: the gains of all 120 swaps of 16 nodes in some 300 vector instructions, for numba.

numba's compiler, LLVM, finds no such form of a plain loop, which takes three times as long with AVX-512 and twice with
AVX2. This runs when `kernels` is compiled. numba keeps what it compiled until kernels.py changes, and does not look
here: touch kernels.py with this file.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numba
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba.extending import intrinsic

LANES = 16
WORTHWHILE = bool(get_host_cpu_features().get("avx2"))  # with shorter vectors the plain loop is faster
FLOAT, INT, PLACE = ir.FloatType(), ir.IntType(32), ir.IntType(64)
FLOATS, INTS = ir.VectorType(FLOAT, LANES), ir.VectorType(INT, LANES)


def _lanes(context: Any, builder: Any, kind: Any, array: Any, offset: Any, typ: Any = FLOATS) -> Any:
    """Where the 16 numbers of a flat array from `offset` on lie, as one vector."""
    data = context.make_array(kind)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [offset]), typ.as_pointer())


def _shuffle(builder: Any, one: Any, other: Any, lanes: Sequence[int]) -> Any:
    """Lanes of two vectors: those of the one are counted first."""
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(INT, len(lanes)), list(lanes)))


def _permute(builder: Any, row: Any, places: Any) -> Any:
    """row[places], half by half: LLVM makes one instruction of a permutation of 8 (AVX2, AVX-512)."""
    lower, upper = (_shuffle(builder, row, row, range(first, first + 8)) for first in (0, 8))
    found = []
    for first in (0, 8):
        wanted = _shuffle(builder, places, places, range(first, first + 8))
        seven = ir.Constant(wanted.type, [7] * 8)
        within, far = builder.and_(wanted, seven), builder.icmp_signed(">", wanted, seven)
        found.append(builder.select(far, _pick(builder, upper, within), _pick(builder, lower, within)))
    return _shuffle(builder, found[0], found[1], range(LANES))


def _pick(builder: Any, row: Any, places: Any) -> Any:
    out = ir.Constant(row.type, ir.Undefined)
    for lane in (ir.Constant(INT, number) for number in range(8)):
        value = builder.extract_element(row, builder.extract_element(places, lane))
        out = builder.insert_element(out, value, lane)
    return out


def _transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """16 x 16 numbers, by exchanging ever smaller blocks (Eklundh 1972)."""
    for size in (8, 4, 2, 1):
        for i in (i for i in range(LANES) if not i & size):
            upper, lower = rows[i], rows[i + size]
            kept = [lane if not lane & size else LANES + lane - size for lane in range(LANES)]
            moved = [lane + size if not lane & size else LANES + lane for lane in range(LANES)]
            rows[i], rows[i + size] = _shuffle(builder, upper, lower, kept), _shuffle(builder, upper, lower, moved)
    return rows


def _largest(builder: Any, rows: list[Any]) -> tuple[Any, Any]:
    """The largest of 16 x 16 numbers, and its place, 16 row + lane."""
    candidates = [(row, ir.Constant(INTS, [LANES * i + lane for lane in range(LANES)])) for i, row in enumerate(rows)]

    def larger(one: tuple[Any, Any], other: tuple[Any, Any]) -> tuple[Any, Any]:
        more = builder.fcmp_ordered(">", other[0], one[0])
        return builder.select(more, other[0], one[0]), builder.select(more, other[1], one[1])

    best = functools.reduce(larger, candidates)
    for step in (8, 4, 2, 1):
        turned = [(lane + step) % LANES for lane in range(LANES)]
        best = larger(best, (_shuffle(builder, best[0], best[0], turned), _shuffle(builder, best[1], best[1], turned)))
    value, place = (builder.extract_element(vector, ir.Constant(INT, 0)) for vector in best)
    return value, place


def _best_swap_16(typing: Any, gain: Any, places: Any, together: Any, until: Any, now: Any) -> Any:
    """`best_swap` for up to 16 nodes, in about 300 vector instructions that do not depend on the data."""
    kinds: Any = numba.types
    signature = kinds.Tuple((numba.float32, numba.int64, numba.int64))(gain, places, together, until, now)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        def rows(argument: int, typ: Any, count: int = LANES) -> list[Any]:
            starts = (ir.Constant(ir.IntType(64), LANES * i) for i in range(count))
            kind, array = signature.args[argument], values[argument]
            return [builder.load(_lanes(context, builder, kind, array, start, typ), align=4) for start in starts]

        (order,) = rows(1, INTS, 1)
        here = [_permute(builder, row, order) for row in rows(0, FLOATS)]  # [i, k]: i at the place of k
        here = [builder.fsub(row, _shuffle(builder, row, row, [i] * LANES)) for i, row in enumerate(here)]
        both = [builder.fadd(row, column) for row, column in zip(here, _transpose(builder, list(here)), strict=True)]
        both = [builder.fadd(row, more) for row, more in zip(both, rows(2, FLOATS), strict=True)]
        first = builder.insert_element(ir.Constant(INTS, ir.Undefined), values[4], ir.Constant(INT, 0))
        clock, none = _shuffle(builder, first, first, [0] * LANES), ir.Constant(FLOATS, [float("-inf")] * LANES)
        tabu = (builder.icmp_signed(">", row, clock) for row in rows(3, INTS))
        top, place = _largest(builder, [builder.select(no, none, row) for no, row in zip(tabu, both, strict=True)])
        place = builder.zext(place, ir.IntType(64))
        nodes = (f(place, ir.Constant(place.type, by)) for f, by in ((builder.udiv, LANES), (builder.urem, LANES)))
        return context.make_tuple(builder, signature.return_type, [top, *nodes])

    return signature, code


def _add_difference(typing: Any, out: Any, at: Any, table: Any, more: Any, less: Any) -> Any:
    """out[at : at + 16] += table[more : more + 16] - table[less : less + 16], for flat arrays of float32."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        target = _lanes(context, builder, kinds[0], values[0], values[1])
        terms = (_lanes(context, builder, kinds[2], values[2], offset) for offset in values[3:])
        gained, lost, old = (builder.load(where, align=4) for where in (*terms, target))
        builder.store(builder.fadd(old, builder.fsub(gained, lost)), target, align=4)
        return context.get_dummy_value()

    return numba.types.void(out, at, table, more, less), code


best_swap_16: Any = intrinsic(_best_swap_16)
add_difference: Any = intrinsic(_add_difference)
