"""Which images to label next, and what a run proposes for them."""
