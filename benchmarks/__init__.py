"""Benchmarks: each module is runnable by name, and prints the ratio to a peer measured in the same run."""
