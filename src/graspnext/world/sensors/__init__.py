"""What real cameras make of a scene: their intrinsics, their pictures and the depth that they measure."""
