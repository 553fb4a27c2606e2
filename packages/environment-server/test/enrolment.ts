import type { Enrolment } from "../src/index.ts";

/** The enrolment of a device, for stores. */
export const enrolment: Enrolment = {
  tenant: "acme",
  deviceId: "device-1",
  listenerInstanceId: "default",
  connectionName: "box",
  metadata: null,
  keyId: "key-1",
  owner: "ada",
  shared: false,
  knownNames: null,
  labels: null,
  environmentId: "env-1",
  connectionId: "conn-1",
  nowMs: 1_000,
  maxEnvironments: 10,
};
