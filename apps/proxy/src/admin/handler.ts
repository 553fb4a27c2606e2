/**
 * The operations of the administration: each takes decoded input and an authority, and reads or changes keys or devices. Changes go
 * through the store of their actor, which writes them to the audit log.
 */
import {
  ChangeRefusedError,
  type DeviceAllowlist,
  jsonResponse,
  type PlainHeaders,
  type PlainResponse,
  problemResponse,
} from "@letta-environments/schema";
import { AuditUnavailableError } from "../audit/store.ts";
import { createKey, type KeyMint, type KeyPatch, keyState, mintSecret, patchKey } from "../keys/key-lifecycle.ts";
import { createPageRoom, type KeyRecord, KeyRecordDamagedError } from "../keys/key-record.ts";
import type { RequestedKey, Rotation } from "../keys/key-schemas.ts";
import { KeyStoreUnavailableError } from "../keys/key-store-outages.ts";
import { showKey, type ShownKey } from "../keys/key-view.ts";
import type { EnvironmentCache } from "../cache/environment-cache.ts";
import { type Preconditions, refusePrecondition } from "../http/conditions.ts";
import type { DecodedInput } from "../http/validate-request.ts";
import type { SettingProblem } from "../lib/setting-rules.ts";
import type { GatewayPorts, KeyStoreFor, RandomBytes } from "../ports.ts";
import { actorOf, type AdminAuthority, mayKnowKey, tenantOf } from "./admission.ts";
import type { DeviceOperations, ListDevicesQuery } from "./devices.ts";
import { type AdminEndpoint, keysPath, type ListKeysQuery } from "./endpoints.ts";
import type { GrantRules } from "./grants.ts";
import {
  type ChangeCondition,
  decideCreate,
  decidePatch,
  decideRevoke,
  decideRotate,
  entityTag,
  type KeyDecision,
  keyNotFound,
  policyRefusal,
  respondUnder,
} from "./key-changes.ts";
import { type CachePurge, purgeCache } from "./purge-cache.ts";

/** A valid request to the administration. */
export interface AdminRequest extends DecodedInput {
  readonly endpoint: AdminEndpoint;
  readonly params: Readonly<Record<string, string>>;
  readonly preconditions: Preconditions;
  /** Devices to which the configuration restricts the tenant of an administering key; `null`: every device. */
  readonly tenantDevices: DeviceAllowlist | null;
}

/** Carries out a request under an authority. */
export type Administer = (request: AdminRequest, authority: AdminAuthority) => Promise<PlainResponse>;

/** Services that only the administration needs. */
export interface AdminServices {
  readonly randomBytes: RandomBytes;
  readonly keyStoreFor: KeyStoreFor;
  /** The devices of the embedded environment server; absent or `null` where the upstream is remote. */
  readonly devices?: DeviceOperations | null;
  /** Returns the conflicts that a new key would cause because two tenants would share an upstream credential; absent where none can. */
  readonly findCredentialConflicts?: ((record: KeyRecord) => Promise<readonly SettingProblem[]>) | undefined;
}

/** The ports of the administration. */
export interface AdministerPorts
  extends AdminServices, GrantRules, Pick<GatewayPorts, "clock" | "digests" | "keyStore" | "pepper"> {
  readonly environmentCache: EnvironmentCache | null;
  /** Names of the policies that a key can override; `null` where limits are off: any name is accepted. */
  readonly overridable: readonly string[] | null;
}

/** Creates an {@link Administer}. */
export function createAdminister(ports: AdministerPorts): Administer {
  const reader = createKeyReader(ports);
  const writer = createKeyWriter(ports, reader);
  const { devices } = ports;

  function administer(request: AdminRequest, authority: AdminAuthority): Promise<PlainResponse> {
    const { endpoint, params, query, body, preconditions, tenantDevices } = request;
    const { keyId = "", deviceId = "" } = params;
    const actor = { authority, tenantDevices };
    const deviceTarget = { ...(query as { readonly tenant?: string }), deviceId };
    const condition: ChangeCondition = { ...preconditions, digests: ports.digests };
    // Only keys have a strong entity tag, which is known once the key is read.
    const refusal = params["keyId"] === undefined ? refusePrecondition(endpoint.method, preconditions) : null;
    if (refusal !== null) return Promise.resolve(refusal);
    // The endpoint's own schemas have decoded the query and the body.
    switch (endpoint.operation) {
      case "listKeys":
        return reader.list(authority, query as ListKeysQuery);
      case "createKey":
        return writer.create(authority, body as RequestedKey);
      case "retrieveKey":
        return reader.retrieve(authority, keyId).then((response) => respondUnder(preconditions, response));
      case "updateKey":
        return writer.update(authority, keyId, body as KeyPatch, condition);
      case "rotateKey":
        return writer.rotate(authority, keyId, body as Rotation, condition);
      case "revokeKey":
        return writer.revoke(authority, keyId, condition);
      case "listDevices":
        return devices?.list(actor, query as ListDevicesQuery) ?? noDevices;
      case "retrieveDevice":
        return devices?.retrieve(actor, deviceTarget) ?? noDevices;
      case "releaseDevice":
        return devices?.release(actor, deviceTarget) ?? noDevices;
      case "removeDevice":
        return devices?.remove(actor, deviceTarget) ?? noDevices;
      case "purgeCache":
        return purgeCache(ports.environmentCache, authority, body as CachePurge);
    }
  }

  return (request, authority) =>
    administer(request, authority).catch((cause: unknown) => {
      if (cause instanceof KeyRecordDamagedError) return keyDamaged(cause);
      if (cause instanceof AuditUnavailableError) return cause.response;
      throw cause;
    });
}

function createKeyReader({ clock, digests, keyStore }: AdministerPorts) {
  async function present(records: readonly KeyRecord[], nowMs: number = clock.now()): Promise<readonly ShownKey[]> {
    const lastUses = await keyStore.lastUses(records.map(({ id }) => id));
    return records.map((record) => showKey(record, nowMs, lastUses.get(record.id) ?? null));
  }
  /** Shows a key, with further members such as the key in clear. */
  async function show(record: KeyRecord, status = 200, headers: PlainHeaders = {}, more = {}): Promise<PlainResponse> {
    const [shown] = await present([record]);
    return jsonResponse(status, { ...shown, ...more }, { etag: entityTag(record, digests), ...headers });
  }
  /** `null` also for a key that the authority may not know about. */
  async function findKnown(authority: AdminAuthority, id: string): Promise<KeyRecord | null> {
    const record = await keyStore.find(id);
    return record !== null && mayKnowKey(authority, record) ? record : null;
  }

  return {
    show,
    findKnown,
    async list(authority: AdminAuthority, { limit, after, tenant, state }: ListKeysQuery): Promise<PlainResponse> {
      // A key that no longer matches the filters still marks where the next page begins.
      if (after !== undefined && (await findKnown(authority, after)) === null) {
        return problemResponse("invalid_request", { issues: [{ member: "after", rule: "must be the id of a key" }] });
      }
      const nowMs = clock.now();
      const matches = (record: KeyRecord): boolean =>
        mayKnowKey(authority, record) &&
        (tenant === undefined || record.tenant === tenant) &&
        (state === undefined || keyState(record, nowMs) === state);
      const ownTenant = authority.kind === "key" ? authority.record.tenant : tenant;
      const found = await keyStore.list({ after, limit: limit + 1, matches, tenant: ownTenant });
      const hasRoom = createPageRoom(limit);
      const end = found.findIndex((record) => !hasRoom(record));
      const keys = await present(end === -1 ? found : found.slice(0, end), nowMs);
      return jsonResponse(200, { keys, hasNextPage: end !== -1 });
    },
    async retrieve(authority: AdminAuthority, id: string): Promise<PlainResponse> {
      const record = await findKnown(authority, id);
      return record === null ? keyNotFound : show(record);
    },
  };
}

function createKeyWriter(ports: AdministerPorts, { show, findKnown, retrieve }: ReturnType<typeof createKeyReader>) {
  const { clock, configure, digests, keyStore, keyStoreFor, overridable, pepper, policies, randomBytes } = ports;
  const mint: KeyMint = { digests, pepper, randomBytes };

  /** Decides inside the store's atomic step, on the record that the change replaces. */
  async function change(
    authority: AdminAuthority,
    id: string,
    decide: (record: KeyRecord) => KeyDecision,
    more?: object,
  ): Promise<PlainResponse> {
    // Nothing is recorded for a key that it cannot know: it could fill the audit log with ids that it made up.
    if (authority.kind === "key" && (await findKnown(authority, id)) === null) return keyNotFound;
    return make(async () => {
      const record = await keyStoreFor(actorOf(authority)).update(id, (current) => {
        const decision = decide(current);
        if (decision.kind === "refused") throw new ChangeRefusedError(decision.response);
        return decision.record;
      });
      return record === null ? keyNotFound : show(record, 200, {}, more);
    });
  }

  return {
    async create(authority: AdminAuthority, requested: RequestedKey): Promise<PlainResponse> {
      const unknownPolicy = policyRefusal(requested.rateLimits, overridable);
      if (unknownPolicy !== null) return unknownPolicy;
      const nowMs = clock.now();
      const minted = createKey({ tenant: tenantOf(authority), ...requested }, nowMs, mint);
      const decision = decideCreate(authority, minted.record, { nowMs, policies, configure });
      if (decision.kind === "refused") return decision.response;
      const { record } = decision;
      const refusal = await conflictRefusal(ports, authority, record);
      if (refusal !== null) return refusal;
      return make(async () => {
        await keyStoreFor(actorOf(authority)).create(record);
        return show(record, 201, { location: `${keysPath}/${record.id}` }, { key: minted.key });
      });
    },
    async update(authority: AdminAuthority, id: string, patch: KeyPatch, condition: ChangeCondition) {
      const unknownPolicy = policyRefusal(patch.rateLimits, overridable);
      if (unknownPolicy !== null) return unknownPolicy;
      const current = patch.scopes === undefined ? null : await findKnown(authority, id);
      if (current !== null) {
        const refusal = await conflictRefusal(ports, authority, patchKey(current, patch, clock.now()));
        if (refusal !== null) return refusal;
      }
      return change(authority, id, (record) =>
        decidePatch(authority, record, patch, condition, { nowMs: clock.now(), policies, configure }),
      );
    },
    async rotate(authority: AdminAuthority, id: string, { overlapMs }: Rotation, condition: ChangeCondition) {
      const nowMs = clock.now();
      const { key, secret } = mintSecret(id, nowMs, mint);
      const decide = (record: KeyRecord): KeyDecision =>
        decideRotate(authority, record, secret, overlapMs, condition, { nowMs, policies, configure });
      return change(authority, id, decide, { key });
    },
    async revoke(authority: AdminAuthority, id: string, condition: ChangeCondition) {
      const current = await keyStore.find(id);
      // A repeated revocation changes nothing and is not audited. It succeeds whatever its condition (RFC 9110 section 13.1.1),
      // since its own first attempt may have changed the tag.
      if (current !== null && current.revokedAt !== null) return retrieve(authority, id);
      return change(authority, id, (record) => decideRevoke(authority, record, condition, clock.now()));
    },
  };
}

/** Changes a key and shows it. If the store neither responds nor refuses, it is unknown whether the change was made. */
async function make(change: () => Promise<PlainResponse>): Promise<PlainResponse> {
  try {
    return await change();
  } catch (error) {
    if (error instanceof ChangeRefusedError) return error.response;
    if (error instanceof KeyStoreUnavailableError) return error.isRefused ? changeRefused : changeUnknown;
    throw error;
  }
}

/** Refuses a key with which tenants would share an upstream credential: the next start would fail. Only the operator learns their names. */
async function conflictRefusal(
  { findCredentialConflicts }: Pick<AdministerPorts, "findCredentialConflicts">,
  authority: AdminAuthority,
  record: KeyRecord,
): Promise<PlainResponse | null> {
  const problems = (await findCredentialConflicts?.(record)) ?? [];
  if (problems.length === 0) return null;
  if (authority.kind === "key") return problemResponse("tenant_not_configured");
  const issues = problems.map(({ setting, rule }) => ({ member: "tenant", rule: `${setting} ${rule}` }));
  return problemResponse("tenant_not_configured", { issues });
}

const noDevices = Promise.resolve(
  problemResponse("endpoint_not_found", {
    detail: "The devices of a remote environment server are not administered here.",
  }),
);

const changeRefused = problemResponse("key_store_unavailable", {
  detail: "The key store refused the change. Nothing was changed.",
});

/** The store did not respond to the change. */
const changeUnknown = problemResponse("key_store_unavailable", {
  detail:
    "The key store did not respond; the change may have been made. Read the key, or the list, before repeating it.",
  retryable: false,
});

function keyDamaged({ keyId }: KeyRecordDamagedError): PlainResponse {
  const detail = `The stored record of the key ${keyId} is damaged; nothing was changed. Revoke the key and create a new one.`;
  return problemResponse("key_damaged", { detail });
}
