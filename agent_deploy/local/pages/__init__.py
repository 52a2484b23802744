"""The workspace's web pages below /ml/: chat and ratings for reviewers, what reviewers said, what is deployed."""
