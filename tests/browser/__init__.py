"""The pages, driven in a real headless Chromium."""
