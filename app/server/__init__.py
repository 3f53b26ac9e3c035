"""gunicorn's side: its threaded worker, and the deadlines that it lacks."""
