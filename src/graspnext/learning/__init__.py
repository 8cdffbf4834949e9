"""Training, checkpoints, metrics, evaluation."""
