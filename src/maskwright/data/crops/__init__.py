"""Patches of images, by region and class."""
