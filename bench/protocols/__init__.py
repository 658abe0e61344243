"""Protocols turn an encoder and a task into one value per test case and metric. What `_` begins, they share."""
