"""Benchmarks: each module is runnable by name and prints ratios against a peer in the same run."""
