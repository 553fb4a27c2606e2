/**
 * Environments as API responses show them: a row of the store with the presence of its device, and without members that the principal
 * must not see. The JSON of a row is remembered until the row, its presence or its visible members change.
 */
import { mapMaybe, type MaybePromise } from "@letta-environments/platform";
import {
  type Environment,
  type EnvironmentMetadata,
  jsonTextResponse,
  type PlainResponse,
  presentEnvironment,
  type Principal,
  type Scope,
} from "@letta-environments/schema";
import type { EventEnvironment } from "../changes/environment-changes.ts";
import type { DeviceStatus, EnvironmentRow } from "../ports.ts";
import type { DeviceRouter } from "../routing/router.ts";
import type { LocalSockets, Presence } from "../socket/connection.ts";

const noScopes: ReadonlySet<Scope> = new Set();

/** An environment with a member that official clients read although the API text does not mention it. */
type ShownEnvironment = Environment & { readonly listenerInstanceId: string };

export interface Presentation {
  /** Builds the response with one row. */
  one(principal: Principal, row: EnvironmentRow): MaybePromise<PlainResponse>;
  /** Builds the response with a page of rows. */
  page(principal: Principal, rows: readonly EnvironmentRow[], hasNextPage: boolean): MaybePromise<PlainResponse>;
  /**
   * Shows a row in events: members that are visible to everyone who may see the row and do not change all the time. A device that is connected to
   * another server is offline there, because only changes here cause events.
   */
  inEvents(row: EnvironmentRow): EventEnvironment;
  /** The row whose device is online with the latest heartbeat, else the one that was seen last; `undefined` without rows. */
  mostRecentlySeen<Row extends EnvironmentRow>(rows: readonly Row[]): MaybePromise<Row | undefined>;
}

interface Shown {
  readonly presence: Presence | null;
  readonly showsDetails: boolean;
  readonly tenantName: string | undefined;
  readonly pendingApprovals: number;
  readonly text: string;
}

export function createPresentation({
  hub,
  router,
  countApprovals,
  wallNow,
}: {
  readonly hub: Pick<LocalSockets, "presence">;
  readonly router: Pick<DeviceRouter, "presence">;
  /** The number of a row's pending requests for permission that a principal may decide on. */
  readonly countApprovals: (principal: Principal, environmentId: string) => number;
  /** A clock that was ahead may have stored future times, which are not shown before they come. */
  readonly wallNow: () => number;
}): Presentation {
  // A store returns the same object for a row until the row changes.
  const shown = new WeakMap<EnvironmentRow, Shown>();

  function textOf(principal: Principal, row: EnvironmentRow, presence: Presence | null): string {
    const showsDetails = principal.scopes.has("details");
    const { tenantName } = principal;
    const pendingApprovals = presence === null ? 0 : countApprovals(principal, row.id);
    const last = shown.get(row);
    const isSame =
      last !== undefined &&
      last.showsDetails === showsDetails &&
      last.tenantName === tenantName &&
      last.pendingApprovals === pendingApprovals &&
      isSamePresence(last.presence, presence);
    if (isSame) return last.text;
    const environment = toEnvironment(row, presence, pendingApprovals, wallNow());
    const text = JSON.stringify(presentEnvironment<Environment>(principal, environment));
    shown.set(row, { presence, showsDetails, tenantName, pendingApprovals, text });
    return text;
  }

  return {
    one: (principal, row) =>
      mapMaybe(router.presence([row.id]), ([presence = null]) =>
        jsonTextResponse(200, textOf(principal, row, presence)),
      ),
    page: (principal, rows, hasNextPage) =>
      mapMaybe(router.presence(rows.map(({ id }) => id)), (presences) => {
        const connections = rows.map((row, index) => textOf(principal, row, presences[index] ?? null)).join(",");
        return jsonTextResponse(200, `{"connections":[${connections}],"hasNextPage":${hasNextPage}}`);
      }),
    inEvents: (row) => toEventEnvironment(row, hub.presence([row.id])[0] ?? null, wallNow()),
    mostRecentlySeen(rows) {
      if (rows.length < 2) return rows[0];
      return mapMaybe(router.presence(rows.map(({ id }) => id)), (presences) => {
        const candidates = rows.map((row, index) => ({ row, presence: presences[index] ?? null }));
        const [best] = candidates.toSorted(
          (left, right) =>
            (right.presence?.lastHeartbeatMs ?? -1) - (left.presence?.lastHeartbeatMs ?? -1) ||
            lastSeenAt(right.row, right.presence) - lastSeenAt(left.row, left.presence),
        );
        return best?.row;
      });
    },
  };
}

/** Optional members that events never contain, or that a row never loses. */
type KeptMember = "apiKeyOwner" | "listenerInstanceId" | "pendingApprovals" | "userId";

type OptionalMember = { [M in keyof Environment]-?: {} extends Pick<Environment, M> ? M : never }[keyof Environment];

/** The members that a row can lose again. Without their `null`, readers keep the last value of such a member after a restart. */
const missing: Readonly<Record<Exclude<OptionalMember, KeptMember>, null>> = {
  currentMode: null,
  displayName: null,
  metadata: null,
  sendProblem: null,
  tags: null,
};

function toEventEnvironment(row: EnvironmentRow, presence: Presence | null, wallMs: number): EventEnvironment {
  // The number of pending requests for permission depends on the reader. They have their own events.
  const environment = toEnvironment(row, presence, 0, wallMs);
  const {
    podId: _podId,
    organizationId: _organizationId,
    lastHeartbeat: _lastHeartbeat,
    lastSeenAt: _lastSeenAt,
    ...members
  } = presentEnvironment({ scopes: noScopes, tenant: row.tenant }, environment);
  const { connectionName, tags } = row;
  return {
    members: { ...missing, ...members },
    connectionId: environment.connectionId ?? null,
    identity: { connectionName, tags },
  };
}

function isSamePresence(left: Presence | null, right: Presence | null): boolean {
  if (left === null || right === null) return left === right;
  return (
    left.podId === right.podId &&
    left.connectionId === right.connectionId &&
    left.connectedAtMs === right.connectedAtMs &&
    left.lastHeartbeatMs === right.lastHeartbeatMs &&
    left.lastSeenMs === right.lastSeenMs &&
    left.status === right.status &&
    left.isAgentsApiMissing === right.isAgentsApiMissing
  );
}

function lastSeenAt(row: EnvironmentRow, presence: Presence | null): number {
  return presence?.lastSeenMs ?? row.lastSeenAt;
}

/** Converts a row. `connectedAt`, `connectionId`, `lastHeartbeat` and `podId` are `null` while the device is offline. */
function toEnvironment(
  row: EnvironmentRow,
  presence: Presence | null,
  pendingApprovals: number,
  wallMs: number,
): ShownEnvironment {
  const status = presence?.status ?? row;
  const metadata = mergeMetadata(row.metadata, status);
  return {
    id: row.id,
    connectedAt: presence?.connectedAtMs ?? null,
    connectionId: presence?.connectionId ?? null,
    connectionName: row.connectionName,
    deviceId: row.deviceId,
    listenerInstanceId: row.listenerInstanceId,
    firstSeenAt: Math.min(row.firstSeenAt, wallMs),
    lastHeartbeat: presence?.lastHeartbeatMs ?? null,
    lastSeenAt: presence?.lastSeenMs ?? Math.min(row.lastSeenAt, wallMs),
    organizationId: row.tenant,
    podId: presence?.podId ?? null,
    apiKeyOwner: row.owner,
    userId: row.owner,
    ...(status.currentMode !== null && { currentMode: status.currentMode }),
    ...(metadata !== null && { metadata }),
    ...(row.displayName !== null && { displayName: row.displayName }),
    ...(row.tags.length > 0 && { tags: [...row.tags] }),
    ...(pendingApprovals > 0 && { pendingApprovals }),
    ...(presence?.isAgentsApiMissing === true && { sendProblem: "agents_api_missing" }),
  };
}

/** A device's description of itself, from its registration and its socket. */
export function mergeMetadata(
  registered: EnvironmentMetadata | null,
  status: DeviceStatus,
): EnvironmentMetadata | null {
  const { workingDirectory, gitBranch } = status;
  if (workingDirectory === null && gitBranch === null) return registered;
  return {
    ...registered,
    ...(workingDirectory !== null && { workingDirectory }),
    ...(gitBranch !== null && { gitBranch }),
  };
}
