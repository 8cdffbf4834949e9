"""What becomes of the model itself: from torch to a file, in eight bits, for old readers, and what is inside it."""
