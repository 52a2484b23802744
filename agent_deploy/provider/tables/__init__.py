"""Inference tables, what is derived from them, and the files that derive it."""
