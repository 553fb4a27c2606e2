/** Closes open sockets of devices and viewers when their keys, tokens or tenants no longer permit them. */
import type { ConnectedDevice, ConnectedViewer } from "@letta-environments/environment-server";
import { type Clock, sleep } from "@letta-environments/platform";
import type { DeviceAllowlist, Principal } from "@letta-environments/schema";
import type { DeviceSockets, HasExpired, KeyStore } from "../ports.ts";
import { credentialOf, type KeyRecord } from "./key-record.ts";
import {
  type ConfigurePermissions,
  createSocketTokens,
  type CurrentRules,
  presentRights,
  type Rights,
  sortSockets,
  type SocketHolder,
  type SocketTokens,
} from "./socket-permissions.ts";
import { createCloseUntagged, type TaggedSockets } from "./socket-tags.ts";

/** How often the watch compares the store's generation while sockets are open, in milliseconds. */
const checkIntervalMs = 50;
/** The pause after the store could not be read, in milliseconds. */
const retryMs = 1_000;
/** How long sockets are checked before other work runs, in milliseconds. Reading a key from SQLite blocks the process. */
const turnMs = 10;
/** How many sockets are checked before the time is read. */
const socketsPerPart = 25;

/** Sockets that can be listed and closed. */
export interface WatchedSockets extends Required<DeviceSockets>, TaggedSockets {
  /** Each device is the same object as long as its socket is open. */
  connectedDevices(): readonly ConnectedDevice[];
  /** Each viewer is the same object as long as its socket is open. */
  connectedViewers(): readonly ConnectedViewer[];
  /** Closes sockets of devices whose policy changed. The devices reconnect and keep their turns. */
  closeChanged(isChanged: (device: ConnectedDevice) => boolean): void;
}

/** How the configuration changes permissions. */
export interface PermissionRules {
  /** Returns the function that applies the current configuration. A change of the configuration gives a new function. */
  readonly configure: () => ConfigurePermissions;
  /** Returns a caller with the permissions that its credential alone gives, whichever configuration was applied to it. */
  readonly asAuthenticated: (principal: Principal) => Principal;
}

/** The sources of the rules for open sockets. Without {@link PermissionRules}, the configuration changes no permissions. */
export interface SocketRules extends Partial<PermissionRules> {
  readonly clock: Clock;
  readonly hasExpired: HasExpired;
  readonly keyStore: KeyStore;
  /** The devices that tenants are restricted to, by tenant. A change of them gives a new map. */
  readonly tenants: () => ReadonlyMap<string, DeviceAllowlist>;
  /** The settings by which tokens are accepted; `null` if none are. Compared by value. */
  readonly tokenSettings: () => object | null;
  /** Receives each device whose socket stays open only because its key or token is in shadow mode, once per socket. */
  readonly onShadowed?: (device: ConnectedDevice) => void;
  readonly onFailure: (cause: unknown) => void;
}

/**
 * Closes sockets of devices and viewers that their keys no longer allow. A socket is authorised once, at its upgrade, and may stay open for days.
 * So its key is read again whenever a key or the configuration changes, when the key or the secret that opened the socket
 * expires, and once after each socket opens, because the key may have ended during the handshake.
 *
 * A socket is closed with 1008 when its key is revoked, disabled, expired or not allowed to connect that device any more, and
 * when a rotation has ended the secret that opened it, even if another secret of the key is valid. By then the gateway
 * refuses that secret at registration too. It is also closed when the key gets tags that the device lacks.
 *
 * It is closed with 1013 when the approval policy for its device changes, because requests for permission are decided by the policy that it was
 * opened with. The device reconnects and keeps its turn.
 *
 * The socket of a viewer is also closed when any permission or rate limit of its key changes, even through the configuration: it
 * keeps those that it was opened with.
 *
 * The socket of a token is closed when the token expires, and when other tokens are accepted (`socket-permissions.ts`). Changes
 * of the configuration close it like the socket of a key.
 */
export function watchSocketKeys(sockets: WatchedSockets, rules: SocketRules): DeviceSockets {
  const { clock, hasExpired, keyStore, tokenSettings, onFailure } = rules;
  let checked = readState(rules);
  const tokens = createSocketTokens(tokenSettings, rules.asAuthenticated);
  const closeUntagged = createCloseUntagged(sockets, rules.onShadowed);
  let [mustCheckAll, hasNewSocket, nextExpiryMs] = [false, false, Infinity];
  /** Sockets that were found permitted. */
  let permitted = new WeakSet<SocketHolder>();
  /** The keys that could not be read, and when they are tried again. */
  let [failing, retryAtMs] = [new Set<string>(), Infinity];
  /** When the credential of each open socket expires, by {@link credentialOf}, as of the last successful read. */
  let expiries = new Map<string, number | null>();
  const start = repeatWhileOpen(clock, sockets, tick, () => tokens.retain([]));

  async function tick(holders: readonly SocketHolder[]): Promise<number> {
    try {
      return await checkChanged(holders);
    } catch (cause) {
      mustCheckAll = true;
      fail(cause);
      return retryMs;
    }
  }

  /** A failure neither ends nor extends a key. */
  function fail(cause: unknown): void {
    onFailure(cause);
    sockets.closeEnded((holder) => hasExpired(credentialOf(holder), expiries.get(credentialOf(holder)) ?? null));
  }

  /** When thousands of devices connect at the same time, only new ones are checked. Resolves with the time until the next check. */
  async function checkChanged(holders: readonly SocketHolder[]): Promise<number> {
    const state = readState(rules);
    const isChanged = tokens.forgetAfterChange() || !isSameState(state, checked) || clock.now() >= nextExpiryMs;
    // When too many credentials have no socket any more, they are forgotten.
    if (isChanged || expiries.size > 2 * holders.length + 16) mustCheckAll = true;
    if (mustCheckAll || clock.monotonic() >= retryAtMs) [failing, retryAtMs] = [new Set(), Infinity];
    else if (!hasNewSocket) return checkIntervalMs;
    if (mustCheckAll) permitted = new WeakSet();
    [mustCheckAll, hasNewSocket, checked] = [false, false, state];
    const unchecked = holders.filter((holder) => !permitted.has(holder) && !failing.has(holder.keyId));
    return check(unchecked, state, unchecked.length === holders.length);
  }

  /** A change during the check is seen by the next one, because `state` was read before. */
  async function check(holders: readonly SocketHolder[], state: CheckedState, isAll: boolean): Promise<number> {
    if (isAll) expiries = new Map(holders.map(credentialOf).map((each) => [each, expiries.get(each) ?? null]));
    const results: CheckResults = { reads: new Map(), records: new Map(), failures: new Map() };
    const [startMs, { records, failures }] = [clock.now(), results];
    await inParts(clock, holders, (part) => checkPart(part, state, results));
    if (isAll) tokens.retain(holdersOf(sockets));
    nextExpiryMs = firstAfter(expiries.values(), startMs);
    if (failures.size === 0) return checkIntervalMs;
    failures.forEach((_, keyId) => failing.add(keyId));
    retryAtMs = Math.min(retryAtMs, clock.monotonic() + retryMs);
    fail([...failures.values()][0]);
    return isAll && records.size === 0 ? retryMs : checkIntervalMs;
  }

  /** Closes those of the sockets that are no longer permitted. */
  async function checkPart(
    holders: readonly SocketHolder[],
    state: CheckedState,
    results: CheckResults,
  ): Promise<void> {
    const read = await readRecords(keyStore, holders, tokens, results);
    const rightsOf = (holder: SocketHolder): Rights => presentRights(tokens, results.records, holder, clock.now());
    const { ended, changed, open, ends } = sortSockets(read, state, hasExpired, rightsOf);
    ends.forEach((expiresAt, credential) => expiries.set(credential, expiresAt));
    if (ended.size > 0) sockets.closeEnded((holder) => ended.has(holder));
    if (changed.size > 0) sockets.closeChanged((device) => changed.has(device));
    (await closeUntagged(open, state, results.failures)).forEach((holder) => permitted.add(holder));
  }

  const onOpen = (): void => {
    hasNewSocket = true;
    start();
  };
  return { upgrade: watchUpgrades(sockets, tokens, onOpen), redeemTicket: sockets.redeemTicket };
}

/** Returns a function that begins to call `tick`, which resolves with the pause until the next call, as long as sockets are open. */
function repeatWhileOpen(
  clock: Clock,
  sockets: WatchedSockets,
  tick: (holders: readonly SocketHolder[]) => Promise<number>,
  onEnd: () => void,
): () => void {
  let isTicking = false;
  async function next(): Promise<void> {
    const holders = holdersOf(sockets);
    isTicking = holders.length > 0;
    if (isTicking) schedule(await tick(holders));
    else onEnd();
  }
  function schedule(delayMs: number): void {
    isTicking = true;
    clock.setTimer(delayMs, () => void next());
  }
  return () => {
    if (!isTicking) schedule(checkIntervalMs);
  };
}

/** The keys and the configuration that one check uses. */
interface CheckedState extends CurrentRules {
  readonly generation: number;
}

function readState({ keyStore, tenants, configure = () => unchanged }: SocketRules): CheckedState {
  return { generation: keyStore.generation(), tenants: tenants(), configure: configure() };
}

function isSameState(left: CheckedState, right: CheckedState): boolean {
  return left.generation === right.generation && left.tenants === right.tenants && left.configure === right.configure;
}

const unchanged: ConfigurePermissions = (own) => own;

function holdersOf(sockets: WatchedSockets): readonly SocketHolder[] {
  const viewers = sockets.connectedViewers();
  return viewers.length === 0 ? sockets.connectedDevices() : [...sockets.connectedDevices(), ...viewers];
}

/** Keeps the token of each socket that opens, and calls `onOpen`. */
function watchUpgrades(sockets: DeviceSockets, tokens: SocketTokens, onOpen: () => void): DeviceSockets["upgrade"] {
  return async (request, principal, viewerRequests) => {
    const keepToken = tokens.prepare(principal);
    const decision = await sockets.upgrade(request, principal, viewerRequests);
    if (decision.kind === "refused") return decision;
    return {
      ...decision,
      attach(socket) {
        keepToken();
        const listener = decision.attach(socket);
        onOpen();
        return listener;
      },
    };
  };
}

/** Returns the earliest time after `nowMs`; `Infinity` if all have passed. */
function firstAfter(times: Iterable<number | null>, nowMs: number): number {
  let first = Infinity;
  for (const time of times) if (time !== null && time > nowMs && time < first) first = time;
  return first;
}

/**
 * Checks sockets in parts. Other work runs between them. A part waits for the one before only until other work has run, because its reads may take
 * long when the store is on the network. Rejects when a part has failed, after all have ended.
 */
async function inParts(
  clock: Clock,
  holders: readonly SocketHolder[],
  checkPart: (part: readonly SocketHolder[]) => Promise<void>,
): Promise<void> {
  const running: Promise<void>[] = [];
  const errors: unknown[] = [];
  let turnEndsMs = clock.monotonic() + turnMs;
  for (let start = 0; start < holders.length; start += socketsPerPart) {
    if (clock.monotonic() >= turnEndsMs) {
      await sleep(clock, 0);
      turnEndsMs = clock.monotonic() + turnMs;
    }
    const part = holders.slice(start, start + socketsPerPart);
    const checked = checkPart(part).catch((cause: unknown) => void errors.push(cause));
    running.push(checked);
    const isChecked = new AbortController();
    void checked.then(() => isChecked.abort());
    await sleep(clock, 0, isChecked.signal);
  }
  await Promise.all(running);
  if (errors.length > 0) throw errors[0];
}

/** The results of one check, by key. */
interface CheckResults {
  /** A key with many sockets is read once. */
  readonly reads: Map<string, Promise<KeyRecord | null>>;
  readonly records: Map<string, KeyRecord | null>;
  /** Why a key, or the row of one of its devices, could not be read. */
  readonly failures: Map<string, unknown>;
}

/** Reads the records of the keys that hold a socket, each by itself: SQLite may fail to read some pages and not others. Resolves with the sockets whose key is known. */
async function readRecords(
  keyStore: KeyStore,
  holders: readonly SocketHolder[],
  tokens: SocketTokens,
  { reads, records, failures }: CheckResults,
): Promise<readonly SocketHolder[]> {
  const ids = new Set(holders.filter((holder) => tokens.find(holder) === undefined).map(({ keyId }) => keyId));
  const read = async (id: string): Promise<void> => {
    const found = reads.get(id) ?? keyStore.find(id);
    reads.set(id, found);
    records.set(id, await found);
  };
  await Promise.all([...ids].map((id) => read(id).catch((cause: unknown) => void failures.set(id, cause))));
  return holders.filter((holder) => records.has(holder.keyId) || tokens.find(holder) !== undefined);
}
