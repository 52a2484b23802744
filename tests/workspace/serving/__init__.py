"""Tests of serving: real models, saved by MLflow, in real processes."""
