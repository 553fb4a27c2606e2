/* global Bun */
/**
 * A gateway of Hono's own middlewares (logger, bearer-auth, etag), hono-rate-limiter and a cache in memory, and `hono/proxy` without a cache
 * at a second port. Runs on Node through `@hono/node-server` and on Bun.
 */
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { bearerAuth } from "hono/bearer-auth";
import { etag } from "hono/etag";
import { logger } from "hono/logger";
import { proxy } from "hono/proxy";
import { rateLimiter } from "hono-rate-limiter";
import { LRUCache } from "lru-cache";
import { writeLine } from "./access-log.mjs";
import * as settings from "./peer-settings.mjs";

function createApp() {
  const app = new Hono();
  app.use(logger(writeLine));
  app.use(bearerAuth({ token: settings.key }));
  app.use(
    rateLimiter({
      windowMs: settings.windowMs,
      limit: settings.neverMet,
      standardHeaders: "draft-7",
      keyGenerator: (context) => context.req.header("authorization"),
    }),
  );
  return app;
}

const responses = new LRUCache({ max: settings.cacheEntries });
const cachedApp = createApp()
  .use(etag())
  .get("*", async (context) => {
    const { path } = context.req;
    let response = responses.get(path);
    if (response === undefined) {
      response = await settings.fetchOrigin(path);
      responses.set(path, response);
    }
    return context.body(response.body, 200, { "content-type": response.contentType });
  });

const passThroughApp = createApp().all("*", (context) =>
  proxy(`${settings.origin}${context.req.path}`, {
    raw: context.req.raw,
    headers: { ...context.req.header(), authorization: settings.upstreamAuthorization },
  }),
);

function listen({ fetch }) {
  const hostname = "127.0.0.1";
  if (typeof Bun !== "undefined") return Bun.serve({ port: 0, hostname, development: false, fetch }).port;
  return new Promise((resolve) => {
    serve({ fetch, port: 0, hostname }, ({ port }) => resolve(port));
  });
}

settings.announce(await listen(cachedApp), await listen(passThroughApp));
