"""Tabu search as tensor operations, for a GPU: every graph from several random matchings at once, swap by swap.

Taillard, Robust taboo search for the quadratic assignment problem, Parallel Computing 17, 1991, without restarts: the
searches are short and many. Nothing in it waits for a number from the device. The random numbers are drawn on the CPU,
and whatever is summed is summed in one order, so that a seed means the same on every device.
"""

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from bench.matching.arguments import Problem, centred
from bench.matching.dense import tabulate

STARTS = 16  # searches of each graph, which share the iterations
TENURE = 3, 9  # two nodes that were swapped stay so for 3 to 8 moves
SAME = 1e-5  # values that differ by less are the same, as a fraction of the largest affinity
NEVER = 2**30
MOST = 2**27  # joint gains tabulated at once: 2000 graphs of 16 nodes


def match(problem: Problem, *, iterations: int, seed: int) -> Int64[Tensor, "g n"]:
    """A good matching of each graph, on its device, after about `iterations` moves in its searches together."""
    g, n = problem.vertex.shape[:2]
    generator = torch.Generator().manual_seed(seed % 2**63)
    starts = torch.rand(g, STARTS, n, generator=generator).argsort(2).to(problem.vertex.device)
    tenure = torch.randint(*TENURE, (-(-iterations // STARTS), g, STARTS), generator=generator).to(starts.device)
    vertex, scale = centred(problem)
    edge = problem.edge / scale.to(problem.edge.dtype)[:, None, None]
    whole = problem._replace(vertex=vertex / scale[:, None, None], edge=edge)
    found = [starts[:0, 0]]
    for low in range(0, g, chunk := max(1, MOST // n**4)):
        part = Problem(*(x[low : low + chunk] for x in whole))
        own, table = tabulate(part, part.vertex, torch.float32)
        found.append(_climb(own, table, starts[low : low + chunk], tenure[:, low : low + chunk].flatten(1)))
    return torch.cat(found)


def _climb(
    own: Float32[Tensor, "g n n"],
    table: Float32[Tensor, "g n n n n"],
    starts: Int64[Tensor, "g s n"],
    tenure: Int64[Tensor, "moves b"],
) -> Int64[Tensor, "g n"]:
    """The best matching that the b = g s searches of each graph pass through; one move for each row of `tenure`."""
    (g, s, n), device = starts.shape, starts.device
    b = g * s
    graph = torch.arange(g, device=device)[:, None].expand(g, s).reshape(b)
    rows, places = table.view(g * n * n, n * n), starts.reshape(b, n).clone()

    def row(node: Int64[Tensor, " b"], place: Int64[Tensor, " b"]) -> Float32[Tensor, "b _"]:
        return rows.index_select(0, (graph * n + node) * n + place)

    def joint(nodes: Int64[Tensor, "b m"]) -> Float32[Tensor, "b m n"]:
        """What each of m nodes and every other gain from each other where they are, plus in each other's place."""
        at, here, there = _corner(graph, nodes, n), places.gather(1, nodes)[..., None], places[:, None]
        return table.view(-1)[at + here * n**2 + there] + table.view(-1)[at + there * n**2 + here]

    gain, value = own[graph].view(b, n * n), torch.zeros(b, device=device)
    for i in range(n):
        gain += row(torch.full_like(graph, i), places[:, i])
    for i in range(n):
        value += 0.5 * (own[graph, i, places[:, i]] + gain.view(b, n, n)[:, i].gather(1, places[:, i : i + 1])[:, 0])
    together = joint(torch.arange(n, device=device).expand(b, n))
    until = (torch.eye(n, dtype=torch.long, device=device) * NEVER).view(1, n * n).repeat(b, 1)
    record, best = value.clone(), places.clone()
    for now, stay in enumerate(tenure):
        here = gain.view(b, n, n).gather(2, places[:, None].expand(b, n, n))
        here = here - here.diagonal(dim1=1, dim2=2)[:, :, None]
        delta = (here + here.mT + together).view(b, n * n).masked_fill(until > now, -torch.inf)
        at = delta.argmax(1)
        most = delta.gather(1, at[:, None])[:, 0]
        none = most == -torch.inf  # all are tabu: swap node 0 with itself
        at = torch.where(none, 0, at)
        first, second = at // n, at % n
        nodes, turned = torch.stack([first, second], 1), torch.stack([second, first], 1)
        a, c = places.gather(1, nodes).unbind(1)
        gain += row(first, c) - row(first, a) + row(second, a) - row(second, c)
        places.scatter_(1, turned, torch.stack([a, c], 1))
        fresh = joint(nodes)
        together.scatter_(1, nodes[:, :, None].expand(b, 2, n), fresh)
        together.scatter_(2, nodes[:, None].expand(b, n, 2), fresh.mT)
        until.scatter_(1, nodes * n + turned, torch.where(none, NEVER, now + stay)[:, None].expand(b, 2))
        value += torch.where(none, 0, most)
        better = value > record + SAME
        record, best = torch.where(better, value, record), torch.where(better[:, None], places, best)
    chosen = record.view(g, s).argmax(1)
    return best.view(g, s, n)[torch.arange(g, device=device), chosen]


def _corner(graph: Int64[Tensor, " b"], nodes: Int64[Tensor, "b m"], n: int) -> Int64[Tensor, "b m n"]:
    """Where in the flat table the joint gains of node i and each k lie, for both at place 0."""
    others = torch.arange(n, device=graph.device) * n
    return (graph[:, None] * n**4 + nodes * n**3)[..., None] + others
