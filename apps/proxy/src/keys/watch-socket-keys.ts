import type { ConnectedDevice } from "@letta-environments/environment-server";
import type { Clock } from "@letta-environments/platform";
import { allowsDevice, type DeviceAllowlist } from "@letta-environments/schema";
import type { DeviceSockets } from "../ports.ts";
import type { KeyStore } from "../ports.ts";
import { keyState } from "./change-key.ts";
import type { KeyRecord } from "./key-record.ts";

/** How often the store's generation is looked at while sockets are open, in milliseconds. */
const checkIntervalMs = 50;
/** Pause after the store could not be read. */
const retryMs = 1_000;

/** Device sockets that can be listed and closed. */
export interface WatchedSockets extends DeviceSockets {
  connectedDevices(): readonly ConnectedDevice[];
  closeEnded(isEnded: (device: ConnectedDevice) => boolean): void;
}

/** What the sockets are held to. */
export interface SocketRules {
  readonly clock: Clock;
  readonly keyStore: KeyStore;
  /** The devices that tenants are held to, by tenant; another map when they have changed. */
  readonly tenants: () => ReadonlyMap<string, DeviceAllowlist>;
  readonly onFailure: (cause: unknown) => void;
}

/**
 * Holds open sockets to what their keys allow now. A socket is admitted once and lives for days, so its key is looked at again
 * whenever any key or what holds a tenant changed, when a key of an open socket expires, and once after each socket opened, because the key may have
 * ended during the handshake. A socket whose key is revoked, disabled, expired, or no longer for connecting that device is
 * closed with 1008. The pipeline sees the same generation, so the key is refused at register by then.
 */
export function watchSocketKeys(
  sockets: WatchedSockets,
  { clock, keyStore, tenants, onFailure }: SocketRules,
): DeviceSockets {
  let generation = keyStore.generation();
  let held = tenants();
  let mustCheck = false;
  let nextExpiryMs = Infinity;
  /** When keys end by themselves, by id, as far as it is known. */
  let expiries: ReadonlyMap<string, number> = new Map();
  let isTicking = false;

  function start(): void {
    mustCheck = true;
    if (isTicking) return;
    isTicking = true;
    schedule(checkIntervalMs);
  }

  function schedule(delayMs: number): void {
    clock.setTimer(delayMs, () => void tick());
  }

  async function tick(): Promise<void> {
    const devices = sockets.connectedDevices();
    if (devices.length === 0) {
      isTicking = false;
      return;
    }
    const current = keyStore.generation();
    const holding = tenants();
    const isUnchanged = current === generation && holding === held;
    if (isUnchanged && !mustCheck && clock.now() < nextExpiryMs) return schedule(checkIntervalMs);
    mustCheck = false;
    try {
      await check(devices, holding);
      generation = current;
      held = holding;
      schedule(checkIntervalMs);
    } catch (cause) {
      onFailure(cause);
      mustCheck = true;
      // A failure ends no key, and keeps none alive beyond its time.
      const nowMs = clock.now();
      sockets.closeEnded(({ keyId }) => nowMs >= (expiries.get(keyId) ?? Infinity));
      schedule(retryMs);
    }
  }

  async function check(devices: readonly ConnectedDevice[], holding: typeof held): Promise<void> {
    const ids = [...new Set(devices.map(({ keyId }) => keyId))];
    const records = new Map(await Promise.all(ids.map(async (id) => [id, await keyStore.find(id)] as const)));
    const nowMs = clock.now();
    sockets.closeEnded((device) => {
      const record = records.get(device.keyId);
      // A socket that opened meanwhile: its opening asked for another check.
      return record !== undefined && !mayStayConnected(record, holding.get(device.tenant), device, nowMs);
    });
    expiries = new Map([...records].map(([id, record]) => [id, record?.expiresAt ?? Infinity] as const));
    nextExpiryMs = Math.min(Infinity, ...[...expiries.values()].filter((end) => end > nowMs));
  }

  return {
    async upgrade(request, principal) {
      const decision = await sockets.upgrade(request, principal);
      if (decision.kind === "refused") return decision;
      return {
        kind: "accepted",
        attach(socket) {
          const listener = decision.attach(socket);
          start();
          return listener;
        },
      };
    },
  };
}

function mayStayConnected(
  record: KeyRecord | null,
  tenantDevices: DeviceAllowlist | undefined,
  device: ConnectedDevice,
  nowMs: number,
): boolean {
  return (
    record !== null &&
    keyState(record, nowMs) === "active" &&
    record.tenant === device.tenant &&
    record.scopes.includes("connect") &&
    allowsDevice({ ...record, tenantDevices: tenantDevices ?? null }, device)
  );
}
