import {
  createEndpointMatcher,
  defaultListLimit,
  IdentifierSchema,
  ListLimitSchema,
  type MatchRoute,
} from "@letta-environments/schema";
import * as v from "valibot";
import { oneOf } from "../one-of.ts";
import type { KeyState } from "../keys/change-key.ts";
import { exactObject } from "../keys/exact-object.ts";
import { KeyPatchSchema, RequestedKeySchema, RotationSchema } from "../keys/key-schemas.ts";
import { CachePurgeSchema } from "./purge-cache.ts";
import type { InputRules } from "../validate-request.ts";

/** Names of the operations that administer keys. */
export type AdminOperation =
  | "listKeys"
  | "createKey"
  | "retrieveKey"
  | "updateKey"
  | "rotateKey"
  | "revokeKey"
  | "purgeCache";

/** An endpoint of the administration as data. */
export interface AdminEndpoint extends InputRules {
  readonly operation: AdminOperation;
  readonly method: "GET" | "POST" | "PATCH";
  readonly path: string;
}

/** What a list of keys may ask for. */
export interface ListKeysQuery {
  readonly limit: number;
  /** Id of the last key already seen. */
  readonly after?: string;
  readonly tenant?: string;
  readonly state?: KeyState;
}

const keyStates: readonly KeyState[] = ["active", "disabled", "expired", "revoked", "unsupported"];

const ListKeysQuerySchema: v.GenericSchema<unknown, ListKeysQuery> = exactObject(
  {
    limit: v.exactOptional(ListLimitSchema, String(defaultListLimit)),
    after: v.exactOptional(IdentifierSchema),
    tenant: v.exactOptional(IdentifierSchema),
    state: v.exactOptional(oneOf(keyStates)),
  },
  () => "is not a parameter of the list",
);

/** A query of none, strict, so that a filter on the wrong method is no change of something else. */
const NoQuerySchema = exactObject({}, () => "is not a parameter of this endpoint");

/** Where the keys are. */
export const keysPath = "/admin/v1/keys";
const keyPath = `${keysPath}/{keyId}`;
const nothing = { query: NoQuerySchema, body: null };

const adminEndpoints: readonly AdminEndpoint[] = [
  { operation: "listKeys", method: "GET", path: keysPath, query: ListKeysQuerySchema, body: null },
  { operation: "createKey", method: "POST", path: keysPath, query: NoQuerySchema, body: RequestedKeySchema },
  { operation: "retrieveKey", method: "GET", path: keyPath, ...nothing },
  { operation: "updateKey", method: "PATCH", path: keyPath, query: NoQuerySchema, body: KeyPatchSchema },
  {
    operation: "rotateKey",
    method: "POST",
    path: `${keyPath}/rotate`,
    query: NoQuerySchema,
    body: RotationSchema,
    mayLackBody: true,
  },
  { operation: "revokeKey", method: "POST", path: `${keyPath}/revoke`, ...nothing },
  {
    operation: "purgeCache",
    method: "POST",
    path: "/admin/v1/cache/purge",
    query: NoQuerySchema,
    body: CachePurgeSchema,
    mayLackBody: true,
  },
];

/** Finds the endpoint of the administration for a method and a raw pathname. */
export const matchAdminEndpoint: MatchRoute<AdminEndpoint> = createEndpointMatcher(adminEndpoints);
