"""Sides that do not leak: by hash, whole groups, every class on every side."""
