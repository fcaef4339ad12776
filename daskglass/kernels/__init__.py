"""Compiled loops on plain numpy arrays; they know neither xarray nor Dask nor files."""
