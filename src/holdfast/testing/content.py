"""Bytes to back up."""

from __future__ import annotations

from hashlib import shake_256


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that cannot be compressed, the same for a seed in every run."""
    return shake_256(seed.to_bytes(4, "little")).digest(size)
