"""A run over HTTP: image in, mask out."""
