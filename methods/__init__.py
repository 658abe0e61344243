"""SSL methods and foundation models, one plug-in a file. Nothing here is imported by name: bench.registry finds it."""
