/**
 * The gateway as a part of another Hono app: `/letta/v1/environments` is the gateway, `/hello` is the app. Callers send their own keys of a remote
 * environment server, and the gateway passes them on. With `VALKEY_URL` and `KEY_PEPPER` in the environment it has keys of its own instead. A gateway
 * with devices is in `embedded-gateway.ts`.
 */
import { createGateway } from "@letta-environments/proxy";
import { Hono } from "hono";

/** Creates the app. @throws TypeError if keys may not be sent to the address, such as `http:` beyond this machine */
export function createApp(upstreamUrl: string): Hono {
  const gateway = createGateway({
    environment: { UPSTREAM_URL: upstreamUrl },
    config: { auth: { passThrough: true }, logLevel: "warn" },
  });
  return new Hono().get("/hello", (context) => context.text("hello")).route("/letta", gateway);
}
