# The worker image: `docker build -t flumen-worker .`; it classifies until it is stopped.
FROM python:3.11-slim-bookworm AS package
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim-bookworm
ENV FLUMEN_HOME=/var/lib/flumen FLUMEN_CACHE=/opt/flumen/cache PYTHONUNBUFFERED=1
COPY requirements.lock /tmp/
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.lock
COPY --from=package /wheels /tmp/wheels
# The Kudu client's jars are part of the image: a worker that starts needs no artifact repository.
RUN pip install --no-cache-dir --no-deps /tmp/wheels/*.whl && rm -r /tmp/wheels /tmp/requirements.lock \
    && python -c "from flumen.stores.kudu.jars import client_jars; client_jars()" \
    && useradd --system --home-dir /var/lib/flumen --create-home flumen \
    && install --directory --owner=flumen /opt/flumen/cache/classes
USER flumen
# So are the Java classes beside its driver: only those that the worker's own user wrote are loaded.
RUN python -c "from flumen.stores.kudu import classes, jars, java; java.start(jars.client_jars()); \
classes.direct_rows(); classes.defined('ScanReader')"
WORKDIR /var/lib/flumen
# The shipped model, for a volume that is empty to begin with.
RUN python -c "from flumen.models.repository import Repository; from flumen.models.shipped import seed; \
seed(Repository('/var/lib/flumen/models'))"
VOLUME /var/lib/flumen
ENTRYPOINT ["flumen"]
CMD ["worker"]
