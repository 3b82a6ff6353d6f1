"""Scores from counts, and how sure they are."""
