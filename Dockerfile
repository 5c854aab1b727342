# The image of `ocs`: an unprivileged user, a read-only root, one volume for the data.
#
#   docker run --init --read-only --tmpfs /tmp -p 8080:8080 -e OCS_SERVER_HOST=0.0.0.0 \
#       -v ocs-data:/var/lib/ocs -v ./config:/etc/ocs/config:ro ocs
#
# `ocs` refuses to listen on anything but loopback until its configuration has a credential, so a
# configuration with one is mounted over the sample. --init reaps the processes that a killed store
# leaves behind. The embedded store keeps its files in the volume.

FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements.lock ./
# The lock's second part only builds and tests; the image installs the first, by hash.
RUN sed '/^# --- development/,$d' requirements.lock > runtime.lock \
    && python -m venv /opt/build && /opt/build/bin/pip install --require-hashes -r requirements.lock \
    && python -m venv /opt/ocs && /opt/ocs/bin/pip install --require-hashes -r runtime.lock
COPY pyproject.toml README.md LICENSE return_codes.ini ./
COPY config config
COPY ocs ocs
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/ocs/bin/pip install --no-deps --no-index /dist/*.whl

FROM python:3.12-slim
# With it a charge takes the embedded store a fifth less.
RUN apt-get update && apt-get install --yes --no-install-recommends libjemalloc2 \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --system --gid 10001 ocs \
    && useradd --system --uid 10001 --gid ocs --home-dir /var/lib/ocs --shell /usr/sbin/nologin ocs \
    && install --directory --owner ocs --group ocs --mode 0700 /var/lib/ocs
COPY --from=build /opt/ocs /opt/ocs
COPY config /etc/ocs/config
COPY return_codes.ini /etc/ocs/return_codes.ini
COPY LICENSE /usr/share/doc/ocs/LICENSE
ENV PATH=/opt/ocs/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OCS_SERVER_OPERATIONS_PORT=9080
USER 10001:10001
WORKDIR /var/lib/ocs
VOLUME /var/lib/ocs
EXPOSE 8080 9080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client as h, os, sys; c = h.HTTPConnection('127.0.0.1', int(os.environ['OCS_SERVER_OPERATIONS_PORT']), timeout=2); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["ocs"]
CMD ["serve", "--config", "/etc/ocs/config/ocs.toml", "--dir", "/var/lib/ocs"]
