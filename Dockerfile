# The gateway with its embedded environment server. Build: docker build -t letta-proxy .   Use: docs/deploy/docker.md

FROM node:24-slim AS build
WORKDIR /repository
COPY . .
RUN node scripts/pnpm.mjs build --filter=@letta-environments/proxy

FROM node:24-slim
WORKDIR /app
COPY --from=build /repository/apps/proxy/dist/node.js ./node.js
COPY --from=build /repository/apps/proxy/dist/docs-pages.json ./docs-pages.json
COPY --from=build /repository/apps/proxy/dist/console ./console
COPY --from=build /repository/LICENSE ./LICENSE
RUN install -d -o node -g node -m 0700 /data
ENV HOST=0.0.0.0 PORT=8787 DATA_DIR=/data NODE_ENV=production
USER node
VOLUME /data
EXPOSE 8787
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/readyz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "node.js", "start", "--log", "json"]
