import { createCacheMiddleware } from "@letta-environments/http-cache/rfc9111";
import { Hono, type MiddlewareHandler } from "hono";

function cache(routes: Hono): MiddlewareHandler {
  const cached = createCacheMiddleware({ name: "my-app" });
  return (context) => cached(context.req.raw, (request) => routes.fetch(request, context.env));
}

const api = new Hono().basePath("/api");
api.get("/time", (context) => context.text(new Date().toISOString(), 200, { "cache-control": "max-age=60" }));

export const app = new Hono();
app.use("/api/*", cache(api));
