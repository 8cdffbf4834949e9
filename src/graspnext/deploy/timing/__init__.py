"""How long networks take, part by part and layer by layer, side by side."""
