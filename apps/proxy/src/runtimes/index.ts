/**
 * The module `@letta-environments/proxy`: the gateway in front of a remote environment server, for programs that serve it themselves.
 * `@letta-environments/proxy/server` is the gateway with the embedded environment server, and `letta-proxy` is its command.
 *
 * @example
 * import process from "node:process";
 * import { serve } from "@hono/node-server";
 * import { getConnInfo } from "@hono/node-server/conninfo";
 * import { createGateway } from "@letta-environments/proxy";
 * import { Hono } from "hono";
 *
 * const gateway = createGateway({
 *   environment: process.env, // UPSTREAM_URL, LETTA_API_KEY, VALKEY_URL, KEY_PEPPER
 *   clientAddressOf: (context) => getConnInfo(context).remote.address ?? null,
 * });
 *
 * serve(new Hono().route("/letta", gateway)); // serves /letta/v1/environments
 */
export { createGateway, type GatewayOptions, type StaticFiles } from "./fetch/gateway.ts";
export type { SettingSources } from "./fetch/open.ts";
export { createFetchHandler, type FetchContext, type FetchHandler } from "./fetch.ts";
