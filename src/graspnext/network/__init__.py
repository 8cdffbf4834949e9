"""The six-task network: blocks, backbones, neck, RPN, heads, losses; `build.py` alone turns sizes into parts."""
