"""Pulumi's command line: where it is, and its commands on a project."""
