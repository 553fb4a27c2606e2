/** A gateway over an embedded environment server, whose devices are administered over HTTP and audited. */
import { randomBytes } from "node:crypto";
import { createEnvironmentServer, type EnvironmentStore } from "@letta-environments/environment-server";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { openSqlite, randomId, sha256Hex } from "@letta-environments/platform/node";
import type { SqliteDatabase } from "@letta-environments/platform";
import type { PlainResponse } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { createDeviceOperations, type ShownDevice } from "../../src/admin/devices.ts";
import { createMemoryKeyStore } from "../../src/adapters/memory/key-store.ts";
import { auditDevices } from "../../src/audit/device-changes.ts";
import type { AuditEntry } from "../../src/audit/entry.ts";
import { auditKeyStore } from "../../src/audit/key-changes.ts";
import type { DevicesFor } from "../../src/ports.ts";
import type { GatewayConfig } from "../../src/services.ts";
import { fakeRequest } from "./fake-request.ts";
import { createTestAudit } from "./test-audit.ts";
import { bodyOf, createTestProxy, issueTestKey, type TestProxy } from "./test-proxy.ts";
import { embedServer } from "../../src/upstream/embedded.ts";

/** A device of a test. */
export interface TestDevice {
  readonly deviceId: string;
  readonly connectionName?: string;
  readonly instance?: string;
}

/** The response to a request about devices. */
export interface DevicesAnswer {
  readonly status: number;
  readonly devices: readonly ShownDevice[];
  readonly hasNextPage: boolean;
  readonly errorCode: string;
  readonly text: string;
}

/** See the description of this file. */
export interface DeviceAdministrationProxy extends TestProxy {
  readonly store: EnvironmentStore;
  /** Registers a device and resolves with its connectionId; rejects with the error code. */
  register(key: string, device: TestDevice): Promise<string>;
  /** Registers a device, opens its socket and returns the codes with which the socket was closed. */
  connect(key: string, device: TestDevice): Promise<readonly number[]>;
  /** Asks for the devices with this key or token. */
  devices(
    key: string,
    path?: string,
    options?: { method?: string; query?: string; listener?: boolean },
  ): Promise<DevicesAnswer>;
  readonly auditDatabase: SqliteDatabase;
  entries(): Promise<AuditEntry[]>;
}

/** Creates a {@link DeviceAdministrationProxy}. */
export async function createDeviceAdministrationProxy(
  config: Partial<GatewayConfig> = {},
): Promise<DeviceAdministrationProxy> {
  const clock = createVirtualClock();
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const keyStore = createMemoryKeyStore();
  const server = createEnvironmentServer({
    store,
    clock,
    sha256: sha256Hex,
    randomId,
    podId: "pod",
    publicUrl: null,
    settleMs: 0,
  });
  const audit = createTestAudit(clock);
  const log = await audit.openWriter("writer-1");
  const onFailure = (cause: unknown): never => {
    throw cause;
  };
  const devicesFor: DevicesFor = (actor) => auditDevices(server.devices, log, actor, onFailure);
  const testProxy = createTestProxy(undefined, {
    ports: {
      clock,
      keyStore,
      deviceSockets: server,
      upstream: embedServer(server, {
        devicesFor,
        keyStoreFor: (actor) => auditKeyStore(keyStore, log, actor, onFailure),
      }),
      admin: {
        randomBytes,
        keyStoreFor: () => keyStore,
        devices: createDeviceOperations(devicesFor, clock),
      },
    },
    config,
  });
  const { proxy } = testProxy;

  async function register(key: string, { deviceId, connectionName = deviceId, instance }: TestDevice): Promise<string> {
    const body = { deviceId, connectionName, ...(instance !== undefined && { listenerInstanceId: instance }) };
    const response = await proxy.handle(
      fakeRequest({ key, method: "POST", path: "/v1/environments/register", body: JSON.stringify(body) }),
    );
    const answer = bodyOf(response) as { readonly connectionId: string; readonly errorCode: string };
    if (response.status !== 200) throw new Error(answer.errorCode);
    return answer.connectionId;
  }

  return {
    ...testProxy,
    clock,
    keyStore,
    issueKey: (request) => issueTestKey(keyStore, clock, request),
    store,
    register,
    async connect(key, device) {
      const connectionId = await register(key, device);
      const decision = await proxy.upgrade(fakeRequest({ key, path: `/v1/environments/${connectionId}/socket` }));
      if (decision.kind === "refused") throw new Error(String(decision.response.body));
      const closes: number[] = [];
      decision.attach({
        send: () => undefined,
        close: (code) => void closes.push(code),
        terminate: () => void closes.push(1006),
      });
      return closes;
    },
    async devices(key, path = "", { method = "GET", query = "", listener = false } = {}) {
      const request = fakeRequest({ key, method, path: `/admin/v1/devices${path}`, query });
      return answerOf(await (listener ? proxy.handleAdmin(request) : proxy.handle(request)));
    },
    auditDatabase: audit.database,
    entries: audit.entries,
  };
}

function answerOf(response: PlainResponse): DevicesAnswer {
  const body = (response.body === null ? {} : bodyOf(response)) as Partial<DevicesAnswer>;
  return {
    status: response.status,
    devices: body.devices ?? [],
    hasNextPage: body.hasNextPage ?? false,
    errorCode: body.errorCode ?? "",
    text: String(response.body),
  };
}
