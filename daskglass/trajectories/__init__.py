"""Readers of raw trajectory files."""
