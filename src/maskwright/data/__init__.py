"""Data sets: reading, writing, splitting, augmenting and drawing them."""
