"""What a bin scene is and how one is made: parts, sampling, physics, rendering, labels, generation."""
