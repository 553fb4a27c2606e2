/** A gateway of express: express-rate-limit, an LRU cache, and http-proxy-middleware without a cache at a second port. */
import { Agent } from "node:http";
import express from "express";
import { rateLimit } from "express-rate-limit";
import { createProxyMiddleware } from "http-proxy-middleware";
import { LRUCache } from "lru-cache";
import { logRequest } from "./access-log.mjs";
import * as settings from "./peer-settings.mjs";

function listen(handler) {
  const app = express();
  app.disable("x-powered-by");
  app.use((request, response, next) => {
    const startedAt = performance.now();
    response.on("finish", () => logRequest(request.method, request.originalUrl, response.statusCode, startedAt));
    if (settings.principals.has(request.headers.authorization)) next();
    else response.status(401).end();
  });
  app.use(
    rateLimit({
      windowMs: settings.windowMs,
      limit: settings.neverMet,
      standardHeaders: "draft-8",
      legacyHeaders: false,
      keyGenerator: (request) => settings.principals.get(request.headers.authorization),
    }),
  );
  app.use(handler);
  return new Promise((resolve) => {
    const server = app.listen(0, "127.0.0.1", () => resolve(server.address().port));
  });
}

const responses = new LRUCache({ max: settings.cacheEntries });
const cached = await listen(async (request, response) => {
  let found = responses.get(request.originalUrl);
  if (found === undefined) {
    found = await settings.fetchOrigin(request.originalUrl);
    responses.set(request.originalUrl, found);
  }
  response.set({ "content-type": found.contentType, "content-length": String(found.body.length) }).end(found.body);
});

const passThrough = await listen(
  createProxyMiddleware({
    target: settings.origin,
    agent: new Agent({ keepAlive: true, maxSockets: 128 }),
    headers: { authorization: settings.upstreamAuthorization },
  }),
);

settings.announce(cached, passThrough);
