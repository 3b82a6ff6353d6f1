"""A run as one file for other programs: pixels of any size in, class ids of that size out."""
