/** A gateway of fastify and its own plugins: a key check, a limit for each key, an LRU cache, and a proxy without a cache at a second port. */
import httpProxy from "@fastify/http-proxy";
import rateLimit from "@fastify/rate-limit";
import Fastify from "fastify";
import { LRUCache } from "lru-cache";
import { logRequest } from "./access-log.mjs";
import * as settings from "./peer-settings.mjs";

async function listen(addRoutes) {
  const app = Fastify({ logger: false });
  app.addHook("onRequest", (request, reply, done) => {
    request.startedAt = performance.now();
    if (settings.principals.has(request.headers.authorization)) done();
    else reply.code(401).send();
  });
  app.addHook("onResponse", (request, reply, done) => {
    logRequest(request.method, request.url, reply.statusCode, request.startedAt);
    done();
  });
  app.decorateRequest("startedAt", 0);
  await app.register(rateLimit, {
    max: settings.neverMet,
    timeWindow: settings.windowMs,
    keyGenerator: (request) => settings.principals.get(request.headers.authorization),
  });
  await addRoutes(app);
  await app.listen({ port: 0, host: "127.0.0.1" });
  return app.server.address().port;
}

const cached = await listen((app) => {
  const responses = new LRUCache({ max: settings.cacheEntries });
  app.get("/*", async (request, reply) => {
    let response = responses.get(request.url);
    if (response === undefined) {
      response = await settings.fetchOrigin(request.url);
      responses.set(request.url, response);
    }
    return reply.header("content-type", response.contentType).send(response.body);
  });
});

const passThrough = await listen((app) =>
  app.register(httpProxy, {
    upstream: settings.origin,
    replyOptions: {
      rewriteRequestHeaders: (_request, headers) => ({ ...headers, authorization: settings.upstreamAuthorization }),
    },
  }),
);

settings.announce(cached, passThrough);
