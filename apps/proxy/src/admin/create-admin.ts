/** The administration of keys: reads and changes the key store on somebody's authority. */
import { jsonResponse, type PlainHeaders, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { AuditUnavailableError } from "../audit/audit-unavailable-error.ts";
import { createKey, type KeyMint, type KeyPatch, mintSecret, patchKey } from "../keys/key-lifecycle.ts";
import { type KeyRecord, KeyRecordDamagedError } from "../keys/key-record.ts";
import type { RequestedKey, Rotation } from "../keys/key-schemas.ts";
import { KeyStoreUnavailableError } from "../keys/key-store-outages.ts";
import { showKey } from "../keys/key-view.ts";
import type { AdminPorts, ProxyPorts } from "../ports.ts";
import { actorOf, type AdminAuthority, mayKnowKey, tenantOf } from "./admin-authority.ts";
import { type AdminEndpoint, keysPath, type ListKeysQuery } from "./admin-endpoints.ts";
import {
  type ChangeCondition,
  decideCreate,
  decidePatch,
  decideRevoke,
  decideRotate,
  type KeyDecision,
  keyNotFound,
} from "./decide-change.ts";
import { entityTag } from "./entity-tag.ts";
import { type CachePurge, purgeCache } from "./purge-cache.ts";
import { pageOfKeys } from "./list-keys.ts";

/** A valid request to the administration. */
export interface AdminRequest {
  readonly endpoint: AdminEndpoint;
  readonly params: Readonly<Record<string, string>>;
  /** Decoded by the endpoint's own schemas. */
  readonly queryValues: unknown;
  readonly bodyValue: unknown;
  readonly ifMatch: string | null;
}

/** Administers keys. */
export type Administer = (request: AdminRequest, authority: AdminAuthority) => Promise<PlainResponse>;

/** What the administration needs from outside. */
export type AdministerPorts = Pick<ProxyPorts, "clock" | "digests" | "environmentCache" | "keyStore" | "pepper"> &
  AdminPorts;

/** Ends a change inside of the store's atomic step, so that nothing is written. */
class RefusedChange extends Error {
  override readonly name = "RefusedChange";
  readonly response: PlainResponse;

  constructor(response: PlainResponse) {
    super("the change was refused");
    this.response = response;
  }
}

/** The store was asked for the change and did not answer. */
const changeUnknown = problemResponse("key_store_unavailable", {
  detail:
    "The key store did not answer; the change may have been made. Read the key, or the list, before repeating it.",
  retryable: false,
});

/** Creates an {@link Administer}. Every change goes through the store of its actor. */
export function createAdminister(ports: AdministerPorts): Administer {
  const { clock, digests, findNewSharing, keyStore, keyStoreFor, pepper, randomBytes } = ports;
  const mint: KeyMint = { digests, pepper, randomBytes };

  async function answer(
    record: KeyRecord,
    status = 200,
    headers: PlainHeaders = {},
    key?: string,
  ): Promise<PlainResponse> {
    const lastUses = await keyStore.lastUses();
    const shown = showKey(record, clock.now(), lastUses.get(record.id) ?? null);
    const body = key === undefined ? shown : { ...shown, key };
    return jsonResponse(status, body, { etag: entityTag(record, digests), ...headers });
  }

  async function list(authority: AdminAuthority, query: ListKeysQuery): Promise<PlainResponse> {
    const [records, lastUses] = await Promise.all([keyStore.list(), keyStore.lastUses()]);
    const nowMs = clock.now();
    const page = pageOfKeys(authority, records, query, nowMs);
    if (page === null) {
      return problemResponse("invalid_request", { issues: [{ member: "after", rule: "must be the id of a key" }] });
    }
    const keys = page.records.map((record) => showKey(record, nowMs, lastUses.get(record.id) ?? null));
    return jsonResponse(200, { keys, hasNextPage: page.hasNextPage });
  }

  async function retrieve(authority: AdminAuthority, id: string): Promise<PlainResponse> {
    const record = await keyStore.find(id);
    return record === null || !mayKnowKey(authority, record) ? keyNotFound() : answer(record);
  }

  async function create(authority: AdminAuthority, requested: RequestedKey): Promise<PlainResponse> {
    const nowMs = clock.now();
    const { key, record } = createKey({ tenant: tenantOf(authority), ...requested }, nowMs, mint);
    const decision = decideCreate(authority, record, nowMs);
    if (decision.kind === "refused") return decision.response;
    const refusal = await sharingRefusal(authority, record);
    if (refusal !== null) return refusal;
    await keyStoreFor(actorOf(authority)).create(record);
    return answer(record, 201, { location: `${keysPath}/${record.id}` }, key);
  }

  /** With keys of tenants that share an upstream credential the next start would fail. Whose it is only the operator is told. */
  async function sharingRefusal(authority: AdminAuthority, record: KeyRecord): Promise<PlainResponse | null> {
    const problems = (await findNewSharing?.(record)) ?? [];
    if (problems.length === 0) return null;
    if (authority.kind === "key") return problemResponse("tenant_not_configured");
    const issues = problems.map(({ setting, rule }) => ({ member: "tenant", rule: `${setting} ${rule}` }));
    return problemResponse("tenant_not_configured", { issues });
  }

  async function update(
    authority: AdminAuthority,
    id: string,
    patch: KeyPatch,
    condition: ChangeCondition,
  ): Promise<PlainResponse> {
    const present = patch.scopes === undefined ? null : await keyStore.find(id);
    if (present !== null && mayKnowKey(authority, present)) {
      const refusal = await sharingRefusal(authority, patchKey(present, patch, clock.now()));
      if (refusal !== null) return refusal;
    }
    return change(authority, id, (record) => decidePatch(authority, record, patch, condition, clock.now()));
  }

  /** Decides inside of the store's atomic step, on the record that the change will replace. */
  async function change(
    authority: AdminAuthority,
    id: string,
    decide: (record: KeyRecord) => KeyDecision,
    key?: string,
  ): Promise<PlainResponse> {
    try {
      const record = await keyStoreFor(actorOf(authority)).update(id, (present) => {
        const decision = decide(present);
        if (decision.kind === "refused") throw new RefusedChange(decision.response);
        return decision.record;
      });
      return record === null ? keyNotFound() : await answer(record, 200, {}, key);
    } catch (error) {
      if (error instanceof RefusedChange) return error.response;
      throw error;
    }
  }

  function rotate(
    authority: AdminAuthority,
    id: string,
    { overlapMs }: Rotation,
    condition: ChangeCondition,
  ): Promise<PlainResponse> {
    const nowMs = clock.now();
    const { key, secret } = mintSecret(id, nowMs, mint);
    return change(authority, id, (record) => decideRotate(authority, record, secret, overlapMs, condition, nowMs), key);
  }

  async function revoke(authority: AdminAuthority, id: string, condition: ChangeCondition): Promise<PlainResponse> {
    const present = await keyStore.find(id);
    // A repeat is no change: nothing is written, and nobody is told of one. It succeeds whatever its condition says (RFC 9110
    // section 13.1.1), since its own first attempt may have changed the tag.
    if (present !== null && present.revokedAt !== null) return retrieve(authority, id);
    return change(authority, id, (record) => decideRevoke(authority, record, condition, clock.now()));
  }

  function administer(request: AdminRequest, authority: AdminAuthority): Promise<PlainResponse> {
    const { endpoint, params, queryValues, bodyValue, ifMatch } = request;
    const { keyId = "" } = params;
    const condition: ChangeCondition = { ifMatch, digests };
    // The endpoint's own schemas have decoded the query and the body.
    switch (endpoint.operation) {
      case "listKeys":
        return list(authority, queryValues as ListKeysQuery);
      case "createKey":
        return create(authority, bodyValue as RequestedKey);
      case "retrieveKey":
        return retrieve(authority, keyId);
      case "updateKey":
        return update(authority, keyId, bodyValue as KeyPatch, condition);
      case "rotateKey":
        return rotate(authority, keyId, bodyValue as Rotation, condition);
      case "revokeKey":
        return revoke(authority, keyId, condition);
      case "purgeCache":
        return purgeCache(ports.environmentCache, authority, bodyValue as CachePurge);
    }
  }

  return (request, authority) =>
    administer(request, authority).catch((cause: unknown) => {
      if (cause instanceof KeyRecordDamagedError) return keyDamaged(cause);
      if (cause instanceof AuditUnavailableError) return problemResponse("audit_unavailable");
      if (cause instanceof KeyStoreUnavailableError && request.endpoint.method !== "GET") return changeUnknown;
      throw cause;
    });
}

function keyDamaged({ keyId }: KeyRecordDamagedError): PlainResponse {
  const detail = `The stored record of the key ${keyId} is damaged; nothing was changed. Revoke the key and create a new one.`;
  return problemResponse("key_damaged", { detail });
}
