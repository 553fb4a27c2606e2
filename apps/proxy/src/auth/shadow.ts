/**
 * Shadow mode for the restrictions of keys: the allowlists of devices and agents, and the maximum mode. For the keys that the configuration names they are
 * decided, logged and counted, but not enforced, so that a restriction can be tried before it refuses anybody.
 *
 * The principal of such a key is replaced by one without the restrictions behind the step that authenticates, and the steps that authorise decide once
 * more for the restricted one. Lists and streams of events show what the unrestricted principal may see.
 */
import {
  allowsDevice,
  allowsMode,
  type DecodedRequest,
  type Endpoint,
  type PlainResponse,
  type Principal,
  type RegisterRequest,
} from "@letta-environments/schema";
import type { ConnectionRecord } from "@letta-environments/environment-server";
import { parseJsonObject } from "../lib/json.ts";
import { mapMaybe, type MaybePromise, type WrapStep } from "../lib/steps.ts";
import type { ShadowSettings } from "./shadow-rules.ts";
import type { GatewayPrincipal } from "./authentication.ts";
import { authoriseEndpoint, authoriseInput } from "./authorise.ts";
import { allowsInvitedName } from "./invitations.ts";

/** The record of a send or of a control operation, which has the connection where that has been looked up. */
interface Acted {
  readonly connection: ConnectionRecord | null | undefined;
}

/** The members of an exchange that are read here. A step that is not reached yet has not added its own. */
interface ShadowedExchange {
  readonly trace: {
    principal: Principal | null;
    shadowRefusedBy: readonly string[];
    readonly action: Acted | null;
  };
  readonly principal?: Principal;
  readonly endpoint?: Endpoint;
  readonly params?: Readonly<Record<string, string>>;
  readonly input?: { readonly decoded: DecodedRequest };
}

/** The callers that were lifted, with their restrictions. Their sockets stay open when the pipeline is composed again. */
const restrictedOf = new WeakMap<Principal, Principal>();

/** Returns a caller with the restrictions that shadow mode has lifted of it; any other as it is. */
export function withRestrictions(principal: Principal): Principal {
  return restrictedOf.get(principal) ?? principal;
}

/** Lifts restrictions of a caller, whose requests are decided for the restricted one too; see {@link createShadow}. */
export function liftCaller<Caller extends Principal>(caller: Caller, lift: LiftRestrictions): Caller {
  const free = lift(caller);
  if (free !== caller) restrictedOf.set(free, caller);
  return free;
}

/**
 * Creates a wrapper of the pipeline's steps. `findConnection` looks up the connection of the other requests that name one; without it,
 * their devices are not decided.
 */
export function createShadow({ keyIds, rules }: ShadowSettings, findConnection?: FindConnection): WrapStep {
  const lifted = new WeakMap<Principal, Principal>();

  function lift(principal: Principal): Principal {
    const known = lifted.get(principal);
    if (known !== undefined) return known;
    const free = liftCaller(principal, (caller) => liftRestrictions(caller, { keyIds, rules }));
    lifted.set(principal, free);
    return free;
  }

  function note({ trace }: ShadowedExchange, refusal: PlainResponse | null): void {
    const code = refusal === null ? null : parseJsonObject(refusal.body)?.["errorCode"];
    if (typeof code === "string" && !trace.shadowRefusedBy.includes(code)) {
      trace.shadowRefusedBy = [...trace.shadowRefusedBy, code];
    }
  }

  /** Decides a step for the restricted caller, if restrictions of it were lifted. */
  function decide(name: string, exchange: ShadowedExchange): MaybePromise<void> {
    const restricted = exchange.principal && restrictedOf.get(exchange.principal);
    if (restricted === undefined) return;
    const found = name === "authorise the endpoint" ? connectionOf(restricted, exchange, findConnection) : null;
    return mapMaybe(found, (connection) => note(exchange, decisions[name]?.(restricted, exchange, connection) ?? null));
  }

  return (name, run) => {
    if (name === "authenticate") {
      return (exchange) =>
        mapMaybe(run(exchange), (added) => {
          if (added === null || !("principal" in added)) return added;
          const principal = added.principal as Principal;
          // The frames of a viewer come with the principal of their socket.
          if (!keyIds.has(principal.keyId) || restrictedOf.has(principal)) return added;
          const free = lift(principal);
          (exchange as ShadowedExchange).trace.principal = free;
          return { ...added, principal: free };
        });
    }
    if (name === "decide again after a late body") {
      return (exchange) =>
        mapMaybe(run(exchange), (added) =>
          // Refused, or as before: then the decision on the endpoint stands.
          added === null || !("principal" in added)
            ? added
            : mapMaybe(decide("authorise the endpoint", { ...exchange, ...added } as ShadowedExchange), () => added),
        );
    }
    if (decisions[name] === undefined) return run;
    return (exchange) => mapMaybe(decide(name, exchange as ShadowedExchange), () => run(exchange));
  };
}

/** Finds a connection of a tenant. */
type FindConnection = (tenant: string, connectionId: string) => Promise<ConnectionRecord | null>;

/** Returns the connection that a request names, as far as it is known. */
function connectionOf(
  { tenant }: Principal,
  { trace, params }: ShadowedExchange,
  find: FindConnection | undefined,
): MaybePromise<ConnectionRecord | null> {
  const connectionId = params?.["connectionId"];
  if (trace.action !== null || connectionId === undefined || find === undefined)
    return trace.action?.connection ?? null;
  // Shadow mode fails no request.
  return find(tenant, connectionId).catch(() => null);
}

type DecideAgain = (
  principal: Principal,
  exchange: ShadowedExchange,
  connection: ConnectionRecord | null,
) => PlainResponse | null;

/** The decisions of each step for the restricted principal, with the functions of that step. */
const decisions: Readonly<Record<string, DecideAgain>> = {
  "authorise the endpoint": (principal, { endpoint, params = {} }, connection) => {
    if (endpoint === undefined) return null;
    const isForeign = connection !== null && !allowsDevice(principal, connection.environment);
    return isForeign ? deviceNotAllowed : authoriseEndpoint(principal, endpoint, params);
  },
  "authorise the input": (principal, { input, trace }) => {
    if (input === undefined) return null;
    const { decoded } = input;
    if (decoded.operation === "registerEnvironment" && !allowsRegistration(principal, decoded.body)) {
      return registrationNotAllowed;
    }
    const refusal = authoriseInput(principal, decoded);
    if (refusal !== null) return refusal;
    const record = decoded.operation === "sendMessage" ? trace.action?.connection : null;
    if (record === undefined || record === null) return null;
    return allowsMode(principal, record.environment.currentMode ?? undefined) ? null : modeNotAllowed;
  },
};

/** Whether a key may register a device. Its tags are known only to the environment server. */
function allowsRegistration(principal: GatewayPrincipal, { deviceId, connectionName }: RegisterRequest): boolean {
  const device = { deviceId, connectionName };
  return allowsDevice({ ...principal, deviceTags: null }, device) && allowsInvitedName(principal, device);
}

const refusalOf = (errorCode: string): PlainResponse => ({
  status: 403,
  headers: {},
  body: JSON.stringify({ errorCode }),
});
const registrationNotAllowed = refusalOf("device_not_allowed");
const deviceNotAllowed = refusalOf("connection_not_found");
const modeNotAllowed = refusalOf("mode_not_allowed");

/** The members of a caller that shadow mode can lift, and its key. */
type RestrictedCaller = Pick<
  Principal,
  "keyId" | "deviceIds" | "connectionNames" | "deviceTags" | "agentIds" | "maxMode"
>;

/** Returns a caller without the restrictions that are in shadow mode for its key. */
export type LiftRestrictions = <Caller extends RestrictedCaller>(caller: Caller) => Caller;

/** A {@link LiftRestrictions} by settings. Open streams and sockets are compared with its result, and so is what an administering key may do. */
export function liftRestrictions<Caller extends RestrictedCaller>(
  caller: Caller,
  { keyIds, rules }: ShadowSettings,
): Caller {
  if (!keyIds.has(caller.keyId)) return caller;
  return {
    ...caller,
    ...(rules.has("devices") && { deviceIds: null, connectionNames: null, deviceTags: null }),
    ...(rules.has("agents") && { agentIds: null }),
    ...(rules.has("maxMode") && { maxMode: null }),
  };
}
