/**
 * The endpoints of the administration as data: paths, methods, and the schemas of their input. All of them are under `/admin/`,
 * apart from the API of environments.
 */
import { exactObject, oneOf } from "../lib/strict-schemas.ts";
import {
  createEndpointMatcher,
  defaultListLimit,
  type DeviceAllowlist,
  IdentifierSchema,
  ListLimitSchema,
  type MatchRoute,
  type PlainResponse,
} from "@letta-environments/schema";
import * as v from "valibot";
import type { KeyState } from "../keys/key-lifecycle.ts";
import { KeyPatchSchema, RequestedKeySchema, RotationSchema } from "../keys/key-schemas.ts";
import type { ListDevicesQuery } from "./devices.ts";
import type { AdminAuthority } from "./admission.ts";
import { CachePurgeSchema } from "./purge-cache.ts";
import type { DecodedInput, InputRules } from "../http/validate-request.ts";

/** Names of the operations of the administration. */
export type AdminOperation =
  | "listKeys"
  | "createKey"
  | "retrieveKey"
  | "updateKey"
  | "rotateKey"
  | "revokeKey"
  | "listDevices"
  | "retrieveDevice"
  | "releaseDevice"
  | "removeDevice"
  | "purgeCache";

/** An endpoint of the administration as data. */
export interface AdminEndpoint extends InputRules {
  readonly operation: AdminOperation;
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly path: string;
}

/** A route that not every runtime serves, with the authentication of the administration. */
export type OptionalAdminRoute = Omit<AdminEndpoint, "operation"> & { readonly operation: string };

/** An {@link OptionalAdminRoute} with its handler. The pipeline runs the same steps before it as before any other endpoint. */
export interface OptionalAdminEndpoint {
  readonly endpoint: OptionalAdminRoute;
  /** Returns a response, or rejects for a defect or an unavailable store. */
  respond(request: OptionalAdminRequest, authority: AdminAuthority): Promise<PlainResponse>;
}

/** A valid request to an {@link OptionalAdminEndpoint}. */
export interface OptionalAdminRequest extends DecodedInput {
  /** The `Accept` header. */
  readonly accept: string | null;
  /** Devices to which the configuration restricts the tenant of an administering key; `null`: every device. */
  readonly tenantDevices: DeviceAllowlist | null;
}

/** The query of a list of keys. */
export interface ListKeysQuery extends ListDevicesQuery {
  readonly state?: KeyState;
}

const keyStates: readonly KeyState[] = ["active", "disabled", "expired", "revoked", "unsupported"];

const page = {
  limit: v.exactOptional(ListLimitSchema, String(defaultListLimit)),
  after: v.exactOptional(IdentifierSchema),
  tenant: v.exactOptional(IdentifierSchema),
};
const listRule = (): string => "is not a parameter of the list";

const ListKeysQuerySchema: v.GenericSchema<unknown, ListKeysQuery> = exactObject(
  { ...page, state: v.exactOptional(oneOf(keyStates)) },
  listRule,
);
const ListDevicesQuerySchema: v.GenericSchema<unknown, ListDevicesQuery> = exactObject(page, listRule);

/** The query of every other request about a device. */
const DeviceQuerySchema: v.GenericSchema<unknown, { readonly tenant?: string }> = exactObject(
  { tenant: v.exactOptional(IdentifierSchema) },
  () => "is not a parameter of this endpoint",
);

/** Accepts no parameter, so that a misplaced filter is refused instead of ignored. */
export const NoQuerySchema: v.GenericSchema<unknown, object> = exactObject(
  {},
  () => "is not a parameter of this endpoint",
);

/** The path of the collection of keys. */
export const keysPath = "/admin/v1/keys";
const keyPath = `${keysPath}/{keyId}`;
/** The path of the collection of devices. */
export const devicesPath = "/admin/v1/devices";
const devicePath = `${devicesPath}/{deviceId}`;
const nothing = { query: NoQuerySchema, body: null };
const inTenant = { query: DeviceQuerySchema, body: null };

/** Every endpoint of the administration. */
export const adminEndpoints: readonly AdminEndpoint[] = [
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
  { operation: "listDevices", method: "GET", path: devicesPath, query: ListDevicesQuerySchema, body: null },
  { operation: "retrieveDevice", method: "GET", path: devicePath, ...inTenant },
  { operation: "releaseDevice", method: "POST", path: `${devicePath}/release`, ...inTenant },
  { operation: "removeDevice", method: "DELETE", path: devicePath, ...inTenant },
  {
    operation: "purgeCache",
    method: "POST",
    path: "/admin/v1/cache/purge",
    query: NoQuerySchema,
    body: CachePurgeSchema,
    mayLackBody: true,
  },
];

/** Creates a function that finds the endpoint of the administration for a method and a raw pathname. */
export function createAdminMatcher(
  optional: readonly OptionalAdminEndpoint[],
): MatchRoute<AdminEndpoint | OptionalAdminRoute> {
  return createEndpointMatcher([...adminEndpoints, ...optional.map(({ endpoint }) => endpoint)]);
}

/** The path of the metrics. Prometheus expects it there, outside `/admin/`. */
export const metricsPath = "/metrics";

/** The path of explanations; the metrics use it too. */
export const explainPath = "/admin/v1/explain";

/** Whether a path belongs to the administration, even if no endpoint matches it. */
export function isAdminPath(path: string): boolean {
  return path.startsWith("/admin/") || path === metricsPath;
}
