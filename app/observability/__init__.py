"""How the service can be observed: its log, its trace ids, its metrics."""
