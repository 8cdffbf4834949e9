"""Renderers: one abstract `Renderer`, one file a backend."""
