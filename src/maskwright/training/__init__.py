"""Training. The reader begins with fit.py."""
