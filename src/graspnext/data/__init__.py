"""The on-disk format: schemas, readers, writers, checks, splits, augmentation, loader."""
