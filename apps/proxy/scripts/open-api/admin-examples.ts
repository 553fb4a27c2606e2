/** Realistic keys and devices for the API description. */
import type { ShownDevice } from "../../src/admin/devices.ts";
import type { KeyPatch } from "../../src/keys/key-lifecycle.ts";
import type { RequestedKey } from "../../src/keys/key-schemas.ts";
import type { ShownKey } from "../../src/keys/key-view.ts";

/** A key as it is shown. */
export const exampleKey: ShownKey = {
  id: "p8DxxlMoq9Es",
  name: "ci",
  description: "the build farm",
  owner: "ci",
  tenant: "default",
  scopes: ["list", "send"],
  deviceIds: null,
  connectionNames: ["ci-*"],
  deviceTags: null,
  agentIds: null,
  maxMode: "acceptEdits",
  setMode: null,
  deniedTools: null,
  approvalDeadlineMs: null,
  shared: false,
  invite: null,
  rateLimits: null,
  requires: [],
  createdAt: 1_795_000_000_000,
  expiresAt: 1_797_592_000_000,
  revokedAt: null,
  disabledAt: null,
  state: "active",
  lastUsedAt: 1_795_000_030_000,
  secrets: [{ createdAt: 1_795_000_000_000, expiresAt: null }],
};

/** A key in clear that no gateway accepts. */
export const exampleSecret: string = "lek_p8DxxlMoq9Es_EXAMPLE";

/** The body that creates {@link exampleKey}. */
export const exampleNewKey: Partial<RequestedKey> = {
  name: "ci",
  description: "the build farm",
  scopes: ["list", "send"],
  connectionNames: ["ci-*"],
  maxMode: "acceptEdits",
  expiresAt: 1_797_592_000_000,
};

/** A change of a key. */
export const examplePatch: KeyPatch = { description: "the build farm", connectionNames: null };

/** A row of a device as it is shown. */
export const exampleDevice: ShownDevice = {
  id: "env-01KAN0W3ZC5B8Q2T7D4RXG9M1E",
  deviceId: "3f2b8c1e-5d47-4a90-9c66-0e1f7a2b4d58",
  tenant: "default",
  connectionName: "ci-runner",
  displayName: "Build machine 1",
  tags: ["ci"],
  listenerInstanceId: "5b0e6f52-8f0b-4c39-9a86-1f6f2f8c7d10",
  ownerKeyId: exampleKey.id,
  shared: false,
  firstSeenAt: 1_795_000_000_000,
  lastSeenAt: 1_795_000_060_000,
  online: true,
  connectionId: "env-conn-01kan0w41v6k3y8h2p5jte7c9a",
};
