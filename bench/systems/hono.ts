/** Bare Hono on node-server with a fixed answer; with `auth`, behind the proxy's authentication and authorisation. */
import process from "node:process";
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { createWarmAuthentication } from "../in-process/warm-authentication.ts";
import { fixedBody } from "./fixed-answer.ts";

const headers = { "content-type": "application/json" };
const app = new Hono();
if (process.argv.includes("auth")) {
  const { admits, keys } = await createWarmAuthentication(1);
  process.send?.({ key: keys[0] });
  app.get("/v1/environments/:deviceId", (context) =>
    admits(context.req.header("authorization") ?? "")
      ? new Response(fixedBody, { headers })
      : new Response(null, { status: 401 }),
  );
} else {
  app.get("/v1/environments/:deviceId", () => new Response(fixedBody, { headers }));
}
serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" });
