"""Second-order graph matching: affinities of nodes and edges, a solver, its noise and its gradient; knows no SSL."""

from bench.matching.solver import certify as certify
from bench.matching.solver import solve as solve
from bench.matching.solver import value as value
