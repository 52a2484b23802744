"""The components: what a platform team declares."""
