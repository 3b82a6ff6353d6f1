"""What is left of a score where photos are spoiled."""
