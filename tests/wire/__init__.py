"""The real service under gunicorn, over HTTP."""
