"""Pure functions on arrays: boxes, masks, cameras, rotations. numpy only."""
