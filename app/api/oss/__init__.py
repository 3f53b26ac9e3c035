"""The dialect of mem0's open-source server."""

from app.api.oss import routes

BLUEPRINTS = (routes.bp,)
PATHS = r"/(memories|entities|search|reset|configure)(/|$)"
