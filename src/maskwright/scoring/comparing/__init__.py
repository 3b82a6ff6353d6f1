"""Runs and folders of predictions on the same images."""
