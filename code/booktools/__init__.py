"""What builds the book: notebook runner, chart renderer, Sphinx extension. The core never imports it."""
