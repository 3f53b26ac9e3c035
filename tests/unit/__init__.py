"""In one process: no gunicorn, no HTTP."""
