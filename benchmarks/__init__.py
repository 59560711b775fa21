"""Benchmarks to run on your own folders of images: ``python -m benchmarks.NAME``."""
