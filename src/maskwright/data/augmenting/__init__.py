"""Random versions of training samples, drawn on the fly or written down."""
