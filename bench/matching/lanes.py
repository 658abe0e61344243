"""Eight floats at a time: the gains of all 120 swaps of 16 nodes in some 500 vector instructions, for numba.

numba's compiler, LLVM, finds no such form of a plain loop, which takes three times as long. This runs when `kernels` is
compiled. numba keeps what it compiled until kernels.py changes and does not look here: touch kernels.py with this file.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numba
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba.extending import intrinsic

HALF, LANES = 8, 16  # floats in a vector, and in the shortest row of a table
WORTHWHILE = bool(get_host_cpu_features().get("avx2"))  # with shorter vectors the plain loop is faster
FLOAT, INT, PLACE = ir.FloatType(), ir.IntType(32), ir.IntType(64)
FLOATS, INTS = ir.VectorType(FLOAT, HALF), ir.VectorType(INT, HALF)

Vector = Any  # an LLVM value; llvmlite has no types of its own


def _address(context: Any, builder: Any, kind: Any, array: Any, offset: Any, typ: Any) -> Any:
    """Where the numbers of a flat array from `offset` on lie, as one vector."""
    data = context.make_array(kind)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [offset]), typ.as_pointer())


def _shuffle(builder: Any, one: Vector, other: Vector, lanes: Sequence[int]) -> Vector:
    """Lanes 0 to 7 of the one and 8 to 15 of the other, in the order asked for."""
    return builder.shuffle_vector(one, other, ir.Constant(INTS, list(lanes)))


def _permute(builder: Any, lower: Vector, upper: Vector, places: Vector) -> Vector:
    """Lanes `places`, in [0, 16), of a row in two halves."""
    seven = ir.Constant(INTS, [HALF - 1] * HALF)
    within, far = builder.and_(places, seven), builder.icmp_signed(">", places, seven)
    return builder.select(far, _pick(builder, upper, within), _pick(builder, lower, within))


def _pick(builder: Any, row: Vector, places: Vector) -> Vector:
    """row[places], spelt as LLVM recognises it where the processor has an instruction for it (AVX2)."""
    out = ir.Constant(FLOATS, ir.Undefined)
    for lane in (ir.Constant(INT, number) for number in range(HALF)):
        value = builder.extract_element(row, builder.extract_element(places, lane))
        out = builder.insert_element(out, value, lane)
    return out


def _transpose(builder: Any, rows: Iterable[Vector]) -> list[Vector]:
    """8 x 8 numbers, by exchanging ever smaller blocks (Eklundh 1972)."""
    rows = list(rows)
    for size in (4, 2, 1):
        for i in (i for i in range(HALF) if not i & size):
            upper, lower = rows[i], rows[i + size]
            kept = [lane if not lane & size else HALF + lane - size for lane in range(HALF)]
            moved = [lane + size if not lane & size else HALF + lane for lane in range(HALF)]
            rows[i], rows[i + size] = _shuffle(builder, upper, lower, kept), _shuffle(builder, upper, lower, moved)
    return rows


def _largest(builder: Any, candidates: Iterable[tuple[Vector, Vector]]) -> tuple[Any, Any]:
    """The largest of some numbers, the first of each pair, and what is beside it."""

    def larger(one: tuple[Vector, Vector], other: tuple[Vector, Vector]) -> tuple[Vector, Vector]:
        more = builder.fcmp_ordered(">", other[0], one[0])
        return builder.select(more, other[0], one[0]), builder.select(more, other[1], one[1])

    best = functools.reduce(larger, candidates)
    for step in (4, 2, 1):
        turned = [(lane + step) % HALF for lane in range(HALF)]
        best = larger(best, (_shuffle(builder, best[0], best[0], turned), _shuffle(builder, best[1], best[1], turned)))
    value, place = (builder.extract_element(vector, ir.Constant(INT, 0)) for vector in best)
    return value, place


def _best_swap_16(typing: Any, gain: Any, places: Any, together: Any, until: Any, now: Any) -> Any:
    """`kernels.best_swap` for up to 16 nodes, whose rows are padded to 16.

    Of the four 8 x 8 blocks of what i gains at the place of k, one is another's mirror image: three are gone through.
    """
    kinds: Any = numba.types
    signature = kinds.Tuple((numba.float32, numba.int64, numba.int64))(gain, places, together, until, now)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        def load(argument: int, start: int, typ: Any) -> Vector:
            kind, array = signature.args[argument], values[argument]
            return builder.load(_address(context, builder, kind, array, ir.Constant(PLACE, start), typ), align=4)

        def row(i: int) -> list[Vector]:
            halves = load(0, LANES * i, FLOATS), load(0, LANES * i + HALF, FLOATS)
            there = [_permute(builder, *halves, order) for order in orders]
            here = _shuffle(builder, there[i // HALF], there[i // HALF], [i % HALF] * HALF)
            return [builder.fsub(half, here) for half in there]

        orders = [load(1, start, INTS) for start in (0, HALF)]
        left, right = zip(*(row(i) for i in range(LANES)), strict=True)
        clock = builder.insert_element(ir.Constant(INTS, ir.Undefined), values[4], ir.Constant(INT, 0))
        clock, none = _shuffle(builder, clock, clock, [0] * HALF), ir.Constant(FLOATS, [float("-inf")] * HALF)
        candidates = []
        for first, block, mirrored in (
            (0, left[:HALF], left[:HALF]),
            (HALF, right[:HALF], left[HALF:]),
            (LANES * HALF + HALF, right[HALF:], right[HALF:]),
        ):
            for i, (here, there) in enumerate(zip(block, _transpose(builder, mirrored), strict=True)):
                start = first + LANES * i
                both = builder.fadd(builder.fadd(here, there), load(2, start, FLOATS))
                tabu = builder.icmp_signed(">", load(3, start, INTS), clock)
                number = ir.Constant(INTS, list(range(start, start + HALF)))
                candidates.append((builder.select(tabu, none, both), number))
        top, place = _largest(builder, candidates)
        place = builder.zext(place, PLACE)
        nodes = (of(place, ir.Constant(PLACE, LANES)) for of in (builder.udiv, builder.urem))
        return context.make_tuple(builder, signature.return_type, [top, *nodes])

    return signature, code


def _add_difference(typing: Any, out: Any, at: Any, table: Any, more: Any, less: Any) -> Any:
    """out[at : at + 16] += table[more : more + 16] - table[less : less + 16], for flat arrays of float32."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds, whole = signature.args, ir.VectorType(FLOAT, LANES)
        target = _address(context, builder, kinds[0], values[0], values[1], whole)
        terms = (_address(context, builder, kinds[2], values[2], offset, whole) for offset in values[3:])
        gained, lost, old = (builder.load(where, align=4) for where in (*terms, target))
        builder.store(builder.fadd(old, builder.fsub(gained, lost)), target, align=4)
        return context.get_dummy_value()

    return numba.types.void(out, at, table, more, less), code


best_swap_16: Any = intrinsic(_best_swap_16)
add_difference: Any = intrinsic(_add_difference)
