"""Serving endpoints: the control plane, a process for each served entity, invocations, the payload table."""
