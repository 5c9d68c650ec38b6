"""Benchmarks of the trainer: figures, never a pass or a fail."""
