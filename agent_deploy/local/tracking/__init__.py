"""Experiments, runs, logged models, traces: MLflow's own server behind the workspace's identity."""
