/** Creates the first keys, and prints the next steps for people; `commands/next-steps.ts` has their text. */
import { existsSync } from "node:fs";
import { basename, relative } from "node:path";
import process from "node:process";
import { systemClock } from "@letta-environments/platform/node";
import type { Scope } from "@letta-environments/schema";
import { standardOutput } from "../../adapters/node/standard-output.ts";
import { linkRequest } from "../../commands/key-options.ts";
import {
  denoCommand,
  firstStartText,
  laterStartText,
  type Programs,
  programsIn,
  type StartedGateway,
} from "../../commands/next-steps.ts";
import { createKey } from "../../keys/key-lifecycle.ts";
import { createLink } from "../../keys/sign-in.ts";
import type { KeyStoreFor } from "../../ports.ts";
import { nodeKeyMint, type OpenKeys } from "./keys.ts";

/** Prints the next steps. If there are no keys, it first creates one for clients and one for devices, and shows them, once. */
export async function printNextSteps(
  { keyStore, damagedIds, pepper }: OpenKeys,
  keyStoreFor: KeyStoreFor,
  started: Omit<StartedGateway, "programs"> & {
    /** Whether devices connect to the gateway. */
    readonly servesDevices: boolean;
  },
): Promise<void> {
  const gateway = { ...started, programs: findPrograms(started.dataDir) };
  const keys = await keyStore.list({ after: undefined, limit: 1, matches: () => true });
  if (keys.length > 0 || damagedIds.size > 0) {
    standardOutput().write(laterStartText(gateway));
    return;
  }
  const store = async ({ key, record }: ReturnType<typeof createKey>): Promise<string> => {
    await keyStoreFor({ kind: "start" }).create(record);
    return key;
  };
  const mint = nodeKeyMint(pepper);
  const create = (name: string, scopes: readonly Scope[]): Promise<string> => {
    const request = { name, tenant: "default", scopes, deviceIds: null, shared: false, expiresAt: null };
    return store(createKey(request, systemClock.now(), mint));
  };
  const clientKey = await create("first caller", ["list", "read", "send"]);
  const deviceKey = started.servesDevices ? await create("first device", ["connect"]) : null;
  const link =
    started.console === "served" ? await store(createLink(linkRequest("default"), systemClock.now(), mint)) : null;
  standardOutput().write(firstStartText(gateway, { clientKey, deviceKey, link }));
}

/** How this folder runs the programs. Deno throws where the process lacks the permission, so there nothing counts as installed. */
export function findPrograms(dataDir: string): Programs {
  const [runtime = "node", program = "letta-proxy"] = process.argv;
  const fromHere = relative(process.cwd(), program);
  const exists = (path: string): boolean => {
    try {
      return existsSync(path);
    } catch {
      return false;
    }
  };
  const path = fromHere.startsWith("..") ? program : fromHere;
  const isDeno = process.versions["deno"] !== undefined;
  return programsIn(exists, isDeno ? denoCommand(path, dataDir) : [basename(runtime), path]);
}
