"""Clicks: simulated, sampled from masks, and drawn as heat."""
