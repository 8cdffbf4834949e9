"""Part families: procedural shapes with real dimensions, masses and materials."""
