# syntax=docker/dockerfile:1
# The server with its stores: versions and hashes are those of deploy/image.lock, a part of requirements.lock.
# Any Debian-like image with Python 3.11 or later and its venv module can be the base.
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build
RUN python3 -m venv /build/tools && python3 -m venv --without-pip /opt/objectstore
COPY deploy/build.lock deploy/image.lock /build/
RUN /build/tools/bin/python -m pip install --require-hashes -r /build/build.lock \
    && /build/tools/bin/python -m pip --python /opt/objectstore/bin/python install --require-hashes --only-binary :all: \
        -r /build/image.lock
# Packages to add to the image, such as an exporter of OpenTelemetry or your own kinds of stores.
ARG EXTRA_PACKAGES=
RUN if [ -n "${EXTRA_PACKAGES}" ]; then \
        /build/tools/bin/python -m pip --python /opt/objectstore/bin/python install ${EXTRA_PACKAGES}; fi
COPY pyproject.toml README.md LICENSE /build/source/
COPY src /build/source/src
RUN /build/tools/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /build/wheel /build/source \
    && /build/tools/bin/python -m pip --python /opt/objectstore/bin/python install --no-deps --no-index /build/wheel/*.whl

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="objectstore" \
      org.opencontainers.image.description="A durable object store over plain HTTP" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# 1000 is the first account of most machines, so that tokens.json and folders of theirs can be mounted as they are. The
# folders take any other account too (`docker run --user`); the server keeps what it makes in them to itself.
RUN groupadd --gid 1000 objectstore \
    && useradd --uid 1000 --gid 1000 --home-dir /var/lib/objectstore --no-create-home --shell /usr/sbin/nologin objectstore \
    && install -d -m 1777 -o 1000 -g 1000 /var/lib/objectstore /data \
    && install -d /app
COPY --from=build /opt/objectstore /opt/objectstore
ENV PATH=/opt/objectstore/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=8000
# Without a storage.yaml and without DATA_DIR the server keeps its data in ./objectstore-data.
WORKDIR /var/lib/objectstore
VOLUME ["/var/lib/objectstore"]
USER 1000:1000
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 CMD ["python", "-c", \
    "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); c.request('GET', '/health'); sys.exit(c.getresponse().status != 200)"]
CMD ["objectstore", "serve"]
