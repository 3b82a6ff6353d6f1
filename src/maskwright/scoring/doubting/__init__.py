"""Where a model is weak, where its labels may be, and how sure it is."""
