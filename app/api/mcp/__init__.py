"""The Model Context Protocol, by which assistants use tools: POST /mcp, for hosts such as Claude
Code.

It serves revision 2026-07-28, in which each request says who asks, and the earlier revisions, which
begin with `initialize`. No session is kept in either.
"""

from app.api.mcp import routes

BLUEPRINTS = (routes.bp,)
PATHS = "/mcp$"
