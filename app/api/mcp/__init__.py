"""MCP, the protocol by which assistants use tools: POST /mcp, for hosts such as Claude Code.

Both of its eras are spoken, and nothing is kept between requests: revision 2026-07-28, in which
each request says who asks, and those before it, which begin with `initialize`.
"""

from app.api.mcp import routes

BLUEPRINTS = (routes.bp,)
PATHS = "/mcp$"
