"""Backbones: image in, a list of feature maps out."""
