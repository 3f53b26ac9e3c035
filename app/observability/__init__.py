"""What is seen of the service: its log, its traces, its metrics."""
