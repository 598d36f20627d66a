"""The shared backend-pool service."""
