"""Kernels between polygons, run lengths, colours and planes of class ids."""
