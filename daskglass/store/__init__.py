"""The Zarr store: reading and writing it, what is complete, questions, the way out."""
