"""What the annotator edits: a data set, with saves that lose nothing."""
