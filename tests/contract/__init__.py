"""What holds of every store alike, and of openapi.yaml and the service."""
