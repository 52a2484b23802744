"""What every API of the local workspace stands on: state, errors, callers, authorization, the application."""
