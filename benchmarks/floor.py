"""The floor: a bare Flask handler, for the same gunicorn and its settings."""

from flask import Flask

app = Flask(__name__)


@app.post("/memory/get")
def get() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}
