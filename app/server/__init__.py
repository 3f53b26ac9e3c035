"""Extends gunicorn: its threaded worker, with deadlines for requests and answers."""
