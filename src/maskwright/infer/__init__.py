"""From a run folder to masks. Needs no training code."""
