/**
 * Bare Hono on node-server with a fixed answer and a limiter of others in front: one port without it, one with one limit a request,
 * one with three. All in one process, so that the difference between ports is the limiter's. Which limiter is the first word.
 */
import process from "node:process";
import { serve } from "@hono/node-server";
import { Hono, type MiddlewareHandler } from "hono";
import { rateLimiter } from "hono-rate-limiter";
import { RateLimiterMemory } from "rate-limiter-flexible";
import { fixedBody } from "./fixed-answer.ts";
import { limitCounts, limitWindowsMs } from "./limit-counts.ts";

const headers = { "content-type": "application/json" };
const neverMet = 1_000_000_000;
const keyOf = (authorization: string | undefined): string => authorization ?? "";

function honoRateLimiter(windowMs: number): MiddlewareHandler {
  return rateLimiter({
    windowMs,
    limit: neverMet,
    standardHeaders: "draft-7",
    keyGenerator: (context) => keyOf(context.req.header("authorization")),
  });
}

function flexible(windowMs: number): MiddlewareHandler {
  const limiter = new RateLimiterMemory({ points: neverMet, duration: windowMs / 1_000, keyPrefix: String(windowMs) });
  return async (context, next) => {
    const { remainingPoints, msBeforeNext } = await limiter.consume(keyOf(context.req.header("authorization")));
    context.header(
      "ratelimit",
      `limit=${neverMet}, remaining=${remainingPoints}, reset=${Math.ceil(msBeforeNext / 1_000)}`,
    );
    await next();
  };
}

const limiterOf = process.argv.includes("rate-limiter-flexible") ? flexible : honoRateLimiter;
const ports = await Promise.all(
  limitCounts.map((count) => {
    const app = new Hono();
    for (const windowMs of limitWindowsMs.slice(0, count)) app.use(limiterOf(windowMs));
    app.get("/v1/environments/:deviceId", () => new Response(fixedBody, { headers }));
    return new Promise<number>((resolve) => {
      serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) => resolve(port));
    });
  }),
);
process.send?.({ ports });
