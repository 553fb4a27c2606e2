import process from "node:process";
import { systemClock } from "@letta-environments/platform/node";
import type { Scope } from "@letta-environments/schema";
import { createKey } from "../../keys/key-lifecycle.ts";
import type { KeyStoreFor } from "../../ports.ts";
import { firstStartText } from "./first-start-text.ts";
import { nodeKeyMint } from "./mint-key.ts";
import type { OpenKeys } from "./open-keys.ts";

/** Gives somebody who starts the proxy for the first time a key for callers and one for devices, and shows them, once. */
export async function createFirstKeys(
  { keyStore, damagedIds, pepper }: OpenKeys,
  keyStoreFor: KeyStoreFor,
  servesDevices: boolean,
  url: string,
): Promise<void> {
  if ((await keyStore.list()).length > 0 || damagedIds.size > 0) return;

  async function create(name: string, scopes: readonly Scope[]): Promise<string> {
    const request = { name, tenant: "default", scopes, deviceIds: null, shared: false, expiresAt: null };
    const { key, record } = createKey(request, systemClock.now(), nodeKeyMint(pepper));
    await keyStoreFor({ kind: "start" }).create(record);
    return key;
  }

  const callerKey = await create("first caller", ["list", "read", "send"]);
  const deviceKey = servesDevices ? await create("first device", ["connect"]) : null;
  process.stdout.write(firstStartText({ url, callerKey, deviceKey }));
}
