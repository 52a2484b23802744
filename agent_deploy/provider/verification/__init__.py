"""What a deployment takes, looked up before anything is created."""
