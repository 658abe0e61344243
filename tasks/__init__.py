"""Tasks, one data set a file. Nothing here is imported by name: bench.registry finds it."""
