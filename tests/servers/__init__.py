"""Stand-ins for the services the application calls: the real wire formats, and faults on demand."""
