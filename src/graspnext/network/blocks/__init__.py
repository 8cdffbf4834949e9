"""Building blocks: convolutions, anti-aliased down-sampling, attention condensers."""
