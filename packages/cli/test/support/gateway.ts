import { type LaunchedProxy, launchProxy } from "@letta-environments/testkit";

/** A gateway with its embedded environment server, and keys for it. */
export interface Gateway {
  readonly proxy: LaunchedProxy;
  readonly deviceKey: string;
  readonly callerKey: string;
  /** Environment of a program that has the caller's key. */
  readonly env: Readonly<Record<string, string>>;
}

/** Starts a gateway on loopback. */
export async function launchGateway(): Promise<Gateway> {
  const proxy = await launchProxy();
  const deviceKey = await proxy.createKey({ scopes: ["connect"] });
  const callerKey = await proxy.createKey({ scopes: ["list", "read", "send", "approve"] });
  return { proxy, deviceKey, callerKey, env: { LETTA_BASE_URL: proxy.url, LETTA_API_KEY: callerKey } };
}
