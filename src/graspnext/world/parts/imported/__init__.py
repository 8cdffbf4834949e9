"""The user's own CAD meshes as parts of the world."""
