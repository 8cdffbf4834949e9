"""Labels of a view, by rays: masks, occlusion, centre of mass, suction."""
