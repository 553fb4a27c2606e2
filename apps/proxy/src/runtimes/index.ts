/** The module `@letta-environments/proxy`. */
export { createGateway } from "./fetch/gateway.ts";
export type { GatewayOptions, SettingSources } from "./fetch/options.ts";
export { createFetchHandler, type FetchContext, type FetchHandler } from "./fetch.ts";
