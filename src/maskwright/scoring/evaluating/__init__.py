"""An evaluation: what every image leaves behind, and the tables made of it."""
