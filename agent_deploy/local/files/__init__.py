"""The Files API: model files, artifacts of runs and traces, volumes."""
