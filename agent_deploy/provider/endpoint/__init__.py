"""Serving endpoints: the resources and the function that are about one."""
