"""What holds whatever the configuration and wherever a run is cut."""
