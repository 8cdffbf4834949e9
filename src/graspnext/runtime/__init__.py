"""The predictor on the robot: bundles and one file a backend. Never imports torch."""
