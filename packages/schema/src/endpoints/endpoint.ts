/** One endpoint of the API as data, the names of the operations, and who may use an endpoint. `endpoints.ts` has the table. */
import type { GenericSchema } from "valibot";
import type { Principal, Scope } from "../access/principal.ts";
import type { ProblemCode } from "../problems/problem-definitions.ts";

/** Names of the operations. */
export type Operation =
  | "listEnvironments"
  | "retrieveEnvironment"
  | "sendMessage"
  | "listMessages"
  | "retrieveMessage"
  | "updateEnvironment"
  | "removeEnvironment"
  | "retrieveLastRuntime"
  | "listApprovals"
  | "streamEvents"
  | "registerEnvironment"
  | "openDeviceSocket"
  | "openViewerSocket"
  | "createViewerTicket"
  | ControlOperation;

/** Names of the operations that control a conversation on a device. */
export type ControlOperation = "stopTurn" | "changeMode" | "changeDirectory" | "resumeQueue" | "removeQueueItem";

/** One endpoint as data. */
export interface Endpoint<Query = unknown, Body = unknown, Response = unknown, Param extends string = string> {
  readonly operation: Operation;
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  /** Path template; `{name}` is replaced by one id. */
  readonly path: string;
  /** `caller`: an endpoint of the public API. `device`: an endpoint that devices use to enrol and to connect. */
  readonly audience: "caller" | "device";
  /** The scope that a gateway key must have. */
  readonly scope: Scope;
  /** The scope with which the key that owns the device may use the endpoint instead; absent: none. */
  readonly ownerScope?: Scope;
  /** `true`: not part of the API of the vendor. A server without it returns 404 `endpoint_not_found`. */
  readonly extension?: boolean;
  /** Scopes that each permit the endpoint in place of `scope`. Default: none. */
  readonly otherScopes?: readonly Scope[];
  /** Names of the ids in the path, in order. */
  readonly params: readonly Param[];
  /** The `params` that are references, which their sender chose; see `isReference`. */
  readonly references?: readonly Param[];
  /** Decodes the query; `null` if the endpoint takes none. */
  readonly query: GenericSchema<unknown, Query> | null;
  /** Decodes the JSON body; `null` if the endpoint takes none. */
  readonly body: GenericSchema<unknown, Body> | null;
  /** Largest body in bytes, for an endpoint whose bodies are always small. Absent: the limit of all endpoints, `maxBodyBytes`. */
  readonly maxBodyBytes?: number;
  /** The body of a success; `null` if it has none. */
  readonly response: GenericSchema<unknown, Response> | null;
  /** Media type of a success that is not JSON, such as a stream of events. */
  readonly mediaType?: string;
  /** Status of a success; 101 switches the connection to WebSocket. */
  readonly successStatus: number;
  /** Codes of {@link problemDefinitions} that are specific to this endpoint. */
  readonly problems: readonly ProblemCode[];
}

/** Returns whether a principal has a scope with which it may use an endpoint. If only `ownerScope` matches, the operation must check that it owns the device. */
export function allowsEndpoint(
  { scopes }: Pick<Principal, "scopes">,
  { scope, ownerScope, otherScopes = [] }: Pick<Endpoint, "scope" | "ownerScope" | "otherScopes">,
): boolean {
  return [scope, ownerScope, ...otherScopes].some((given) => given !== undefined && scopes.has(given));
}
