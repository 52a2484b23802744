"""Tests; the folder says the tier."""
