"""Figures and the page of a study."""

from pathlib import Path


def folder(store: Path) -> Path:
    """Folder of the figures of a store, beside it."""
    return store.with_name(f"{store.stem}.figures")


def draw(store: Path) -> Path:
    """Draw."""
    return folder(store)
