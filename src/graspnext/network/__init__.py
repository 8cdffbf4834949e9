"""The six-task network: blocks, backbones, neck, RPN, heads, losses; sizes live in `build.py` alone."""
