"""Packing a run into one file, and looking through one that somebody else packed."""
