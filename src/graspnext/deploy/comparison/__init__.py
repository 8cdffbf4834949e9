"""Two runtimes on the same pictures: how far they are apart, and where they part."""
