"""Raindrops over photographs: labelled data without labelling."""
