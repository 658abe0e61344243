"""The compiled part of the tabu search: what two nodes gain together, what a swap gains, and the search over swaps.

Taillard, Robust taboo search for the quadratic assignment problem, Parallel Computing 17, 1991. Importing this brings
numba, so the functions that need it import it when they are called.
"""

from typing import Any

import numpy as np

from bench.compiled import kernel
from bench.matching.lanes import LANES, WORTHWHILE, add_difference, best_swap_16

Array = np.ndarray[Any, np.dtype[Any]]

STALL = 25  # moves without a better matching before a round ends, or n^2 / 12 if that is more
SAME = 1e-5  # values that differ by less are the same, as a fraction of the largest affinity
NEVER = 2**30


@kernel
def draw(state: Array) -> int:
    """The next 32 random bits of a splitmix64 generator (Steele et al. 2014), whose state is one uint64."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((z ^ (z >> np.uint64(31))) >> np.uint64(32))  # type: ignore[return-value]


@kernel
def below(state: Array, n: int) -> int:
    """A random integer in [0, n)."""
    return (draw(state) * n) >> 32


@kernel
def link(edges_s: Array, neighbours: Array, degree: Array, slot: Array) -> None:
    """The neighbours of each node, either way: neighbours[i, slot[i, k]] = k, and slot -1 for all others."""
    degree[:] = 0
    slot[:] = -1
    for e in range(len(edges_s)):
        i, k = edges_s[e, 0], edges_s[e, 1]
        if i >= 0 and i != k and slot[i, k] < 0:
            slot[i, k], slot[k, i] = degree[i], degree[k]
            neighbours[i, degree[i]], neighbours[k, degree[k]] = k, i
            degree[i] += 1
            degree[k] += 1


@kernel
def tabulate(
    edge: Array, edges_s: Array, edges_t: Array, scale: float, degree: Array, slot: Array, width: int, start: Array,
    own: Array, table: Array
) -> None:  # fmt: skip
    """Add loops to `own`, and write what i at a and its neighbour k at b gain to table[start[i] + row * width + b].

    The row is a * degree[i] + slot[i, k]: a node that moves reads its neighbours' rows one after the other.
    """
    n = len(degree)
    size = 0
    for i in range(n):
        start[i] = size
        size += n * degree[i] * width
    for place in range(size):
        table[np.uint64(place)] = 0
    for e in range(len(edges_s)):
        i, k = edges_s[e, 0], edges_s[e, 1]
        if i < 0:
            continue
        row, column = start[i] + slot[i, k] * width, start[k] + slot[k, i] * width
        step, turn = degree[i] * width, degree[k] * width
        for f in range(len(edges_t)):
            a, b = edges_t[f, 0], edges_t[f, 1]
            if a < 0 or (i == k) != (a == b):
                continue
            gain = edge[e, f] * scale
            if i == k:
                own[i * width + a] += gain
            else:
                table[np.uint64(row + a * step + b)] += gain
                table[np.uint64(column + b * turn + a)] += gain


@kernel
def set_out(
    places: Array, neighbours: Array, degree: Array, start: Array, own: Array, table: Array, gain: Array,
    together: Array, width: int
) -> float:  # fmt: skip
    """Tabulate gain[i, a], what i would add at a with all others in place, and `together` for neighbours; the value.

    together[i, k] is what i and k would gain from each other in each other's place, plus what they gain where they are:
    gain[i, place of k] and gain[k, place of i] leave out the first and, as a loss, count the second twice.
    """
    n = len(degree)
    for place in range(n * width):
        gain[np.uint64(place)] = own[np.uint64(place)]
    zero = len(table) - width
    value = 0.0
    for i in range(n):
        a, step = places[i], degree[i] * width
        value += own[i * width + a]
        for q in range(degree[i]):
            k, column = neighbours[i, q], start[i] + q * width
            row, b = column + a * step, places[k]
            for block in range(0, width, LANES):
                add_difference(gain, k * width + block, table, row + block, zero)
            together[i * width + k] = table[row + b] + table[column + b * step + a]
            value += 0.5 * table[row + b]
    return value


@kernel
def swap(
    first: int, second: int, places: Array, neighbours: Array, degree: Array, start: Array, table: Array, gain: Array,
    together: Array, width: int
) -> None:  # fmt: skip
    """Swap the places of two nodes, and bring `gain` and `together` up to date."""
    places[first], places[second] = places[second], places[first]
    for i, k in ((first, second), (second, first)):
        a, b, step = places[k], places[i], degree[i] * width  # i has gone from a to b
        column = start[i]
        for q in range(degree[i]):
            j = neighbours[i, np.uint64(q)]
            new, old = column + b * step, column + a * step
            for block in range(0, width, LANES):
                add_difference(gain, j * width + block, table, new + block, old + block)
            c = places[np.uint64(j)]
            both = table[np.uint64(new + c)] + table[np.uint64(column + c * step + b)]
            together[np.uint64(i * width + j)] = both
            together[np.uint64(j * width + i)] = both
            column += width


@kernel
def best_swap(n: int, width: int, gain: Array, places: Array, together: Array, until: Array, now: int) -> Any:
    """What the best swap gains of those that are not tabu (-inf: all are), and the two nodes that it swaps."""
    top, first, second = np.float32(-np.inf), 0, 0
    for i in range(n):
        here, a = i * width, places[i]
        own = gain[np.uint64(here + a)]
        for k in range(i + 1, n):
            there, b = k * width, places[k]
            delta = gain[np.uint64(here + b)] - own + together[np.uint64(here + k)]
            delta += gain[np.uint64(there + a)] - gain[np.uint64(there + b)]
            if delta > top and until[np.uint64(here + k)] <= now:
                top, first, second = delta, i, k
    return top, first, second


@kernel
def climb(
    n: int, width: int, rounds: int, iterations: int, state: Array, neighbours: Array, degree: Array, start: Array,
    own: Array, table: Array, gain: Array, together: Array, until: Array, places: Array, best: Array
) -> int:  # fmt: skip
    """Tabu searches from random matchings until `rounds` of them end at the same best value; the moves made."""
    record = high = value = -np.inf
    patience = stalled = max(STALL, n * n // 12)
    agreed = 0
    for i in range(width):
        places[i] = i
        for k in range(width):
            until[i * width + k] = 0 if i < n and k < n and i != k else NEVER
            together[i * width + k] = 0
    for now in range(iterations):
        if stalled >= patience:
            agreed = 1 if high > record + SAME else agreed + (high > record - SAME)
            record = max(record, high)
            if agreed >= rounds:
                return now
            for i in range(n - 1, 0, -1):
                k = below(state, i + 1)
                places[i], places[k] = places[k], places[i]
            value = set_out(places, neighbours, degree, start, own, table, gain, together, width)
            high, stalled = value, 0
            if high > record:
                best[:] = places[:n]
        if WORTHWHILE and width == LANES:
            delta, i, k = best_swap_16(gain, places, together, until, np.int32(now))
        else:
            delta, i, k = best_swap(n, width, gain, places, together, until, now)
        if delta == -np.inf:
            stalled = patience
            continue
        tenure = n // 8 + 1 + below(state, n // 4 + 2)  # 3 to 8 of 16 nodes
        until[i * width + k] = until[k * width + i] = now + tenure
        swap(i, k, places, neighbours, degree, start, table, gain, together, width)
        value += delta
        stalled += 1
        if value > high + SAME:
            high, stalled = value, 0
            if high > record:
                best[:] = places[:n]
    return iterations


@kernel
def aligned(count: int) -> Array:
    """Zeros of float32 that begin with a line of the cache."""
    room = np.zeros(count + LANES, np.float32)
    first = -(room.ctypes.data // 4) % LANES
    return room[first : first + count]


@kernel
def search(
    vertex: Array, edge: Array, edges_s: Array, edges_t: Array, scale: Array, iterations: int, rounds: int, seed: int,
    first: int, out: Array
) -> None:  # fmt: skip
    """Match each graph of a chunk, the first of which is number `first` of its batch; affinities are times `scale`."""
    g, n = vertex.shape[:2]
    width = -(-n // LANES) * LANES
    square, pairs = width * width, 2 * min(edges_s.shape[1], n * (n - 1) // 2)
    own, gain, together = aligned(square), aligned(square), aligned(square)
    table = aligned((pairs * n + 1) * width)
    until, places = aligned(square).view(np.int32), aligned(width).view(np.int32)
    neighbours, slot = np.empty((n, n), np.int64), np.empty((n, n), np.int64)
    degree, start, state = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(1, np.uint64)
    for index in range(g):
        state[0] = seed
        state[0] = np.uint64(draw(state)) ^ (np.uint64(first + index) << np.uint64(32))
        for i in range(n):
            for a in range(n):
                own[i * width + a] = vertex[index, i, a] * scale[index]
        link(edges_s[index], neighbours, degree, slot)
        tabulate(edge[index], edges_s[index], edges_t[index], scale[index], degree, slot, width, start, own, table)
        climb(n, width, rounds, iterations, state, neighbours, degree, start, own, table, gain, together, until, places,
              out[index])  # fmt: skip


@kernel
def charge(vertex: Array, edge: Array, edges_s: Array, edges_t: Array, matching: Array, out: Array) -> None:
    """out[g, i, a]: a bound on what moving node i to a gains, its share of every pair of moved nodes included.

    If i alone of a pair of neighbours moves, the pair gains what it has with i at a; if both move, each is charged half
    of the most that the pair could gain with i at a. So no matching gains more than the sum of its charges.
    """
    g, n = vertex.shape[:2]
    pairs = 2 * min(edges_s.shape[1], n * (n - 1) // 2)
    table, own, most = np.empty(pairs * n * n), np.empty(n * n), np.empty(n)
    neighbours, slot = np.empty((n, n), np.int64), np.empty((n, n), np.int64)
    degree, start = np.empty(n, np.int64), np.empty(n, np.int64)
    for index in range(g):
        own[:] = vertex[index].ravel()
        link(edges_s[index], neighbours, degree, slot)
        tabulate(edge[index], edges_s[index], edges_t[index], 1.0, degree, slot, n, start, own, table)
        for i in range(n):
            home, charges = matching[index, i], out[index, i]
            for a in range(n):
                charges[a] = own[i * n + a] - own[i * n + home]
            for k in neighbours[i, : degree[i]]:
                away, first, step = matching[index, k], start[k] + slot[k, i] * n, degree[k] * n
                now = table[first + away * step + home]
                most[:] = -np.inf
                for b in range(n):
                    row = table[first + b * step : first + b * step + n]  # of k at b, over the places of i
                    row[b] = -np.inf  # which are others
                    for a in range(n):
                        most[a] = row[a] if row[a] > most[a] and b != away else most[a]
                alone = table[first + away * step : first + away * step + n]
                for a in range(n):
                    charges[a] += max(alone[a] - now, 0.5 * (most[a] - now))
            charges[home] = 0
