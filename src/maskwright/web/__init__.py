"""The annotator's server: one JSON API over the public functions of the package, and the page that uses it."""
