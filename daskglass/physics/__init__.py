"""Equations on xarray objects; no files, no cluster."""
