/**
 * Shadow mode for the restrictions of keys: the allowlists of devices and agents, and the maximum mode. For keys that the configuration names, they
 * are decided, logged and counted but not enforced, so that a restriction can be tried before it refuses anyone.
 *
 * After authentication, the principal of such a key is replaced by one without restrictions. The authorisation steps also decide for the original
 * principal. Lists and streams of events show what the unrestricted principal may see.
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
import { readTags, type TaggedDevices } from "../keys/socket-tags.ts";
import { parseJsonObject } from "../lib/json.ts";
import { mapMaybe, type MaybePromise, type RunStep } from "../lib/steps.ts";
import type { StepName } from "../step-names.ts";
import type { GatewayPrincipal } from "./authentication.ts";
import { authoriseEndpoint, authoriseInput } from "./authorise.ts";
import { allowsInvitedName } from "./invitations.ts";

/** The restrictions that can be in shadow mode. */
export const shadowRules = ["devices", "agents", "maxMode"] as const;

export type ShadowRule = (typeof shadowRules)[number];

/** The keys whose restrictions are not enforced. */
export interface ShadowSettings {
  readonly keyIds: ReadonlySet<string>;
  readonly rules: ReadonlySet<ShadowRule>;
}

/** Returns the settings of a list of keys; all rules if none is named. */
export function toShadowSettings(
  keyIds: readonly string[],
  rules: readonly ShadowRule[] = shadowRules,
): ShadowSettings {
  return { keyIds: new Set(keyIds), rules: new Set(rules) };
}

/** The members of an exchange that shadow mode reads. Members of steps that have not run yet are absent. */
interface ShadowedExchange {
  readonly state: {
    /** Set once the request is authenticated. */
    principal: Principal | null;
    shadowRefusedBy: readonly string[];
    /** A send or a control operation, with its connection if that was looked up. */
    readonly action: { readonly connection: ConnectionRecord | null | undefined } | null;
  };
  readonly endpoint?: Endpoint;
  readonly params?: Readonly<Record<string, string>>;
  readonly input?: { readonly decoded: DecodedRequest };
}

/** Maps each lifted caller to its restricted original, also for sockets that outlive the pipeline. */
const originalPrincipals = new WeakMap<Principal, Principal>();

/** Returns the restricted caller behind one whose restrictions shadow mode has lifted; any other caller unchanged. */
export function restrictedPrincipalOf(principal: Principal): Principal {
  return originalPrincipals.get(principal) ?? principal;
}

/** Lifts restrictions of a caller. Its requests are also decided for the restricted caller; see {@link createShadow}. */
export function liftAndRemember<Caller extends Principal>(caller: Caller, lift: LiftRestrictions): Caller {
  const lifted = lift(caller);
  if (lifted !== caller) originalPrincipals.set(lifted, caller);
  return lifted;
}

/** Looks up what shadow mode decides about. */
export interface ShadowedDevices {
  /** Finds a connection of a tenant. */
  findConnection(tenant: string, connectionId: string): Promise<ConnectionRecord | null>;
  readonly devices: TaggedDevices;
}

/**
 * Creates a wrapper of the pipeline's steps. `shadowed` looks up the connection that other requests name, and the tags of a device that
 * registers; without it, these are not checked.
 */
export function createShadow({ keyIds, rules }: ShadowSettings, shadowed?: ShadowedDevices): WrapShadowed {
  const liftedPrincipals = new WeakMap<Principal, Principal>();

  function lift(principal: Principal): Principal {
    const known = liftedPrincipals.get(principal);
    if (known !== undefined) return known;
    const lifted = liftAndRemember(principal, (caller) => liftRestrictions(caller, { keyIds, rules }));
    liftedPrincipals.set(principal, lifted);
    return lifted;
  }

  /** Decides for the original principal, if its restrictions were lifted. */
  function decide(exchange: ShadowedExchange, decision: Decision): MaybePromise<void> {
    const { state } = exchange;
    const restricted = state.principal && originalPrincipals.get(state.principal);
    if (!restricted) return;
    return mapMaybe(decision(restricted, exchange), (code) => {
      if (code !== null && !state.shadowRefusedBy.includes(code))
        state.shadowRefusedBy = [...state.shadowRefusedBy, code];
    });
  }

  const decideEndpoint: Decision = (restricted, exchange) =>
    mapMaybe(connectionOf(restricted, exchange, shadowed), (connection) =>
      refuseEndpoint(restricted, exchange, connection),
    );

  const decideInput: Decision = (restricted, exchange) =>
    mapMaybe(tagsOf(restricted, exchange, shadowed), (tags) => refuseInput(restricted, exchange, tags));

  const wrappers: Readonly<Partial<Record<StepName, WrapShadowedStep>>> = {
    authenticate: (run) => (exchange) =>
      mapMaybe(run(exchange), (added) => {
        const { principal } = exchange.state;
        // The frames of a viewer come with the principal of their socket.
        if (principal === null || !keyIds.has(principal.keyId) || originalPrincipals.has(principal)) return added;
        const lifted = lift(principal);
        exchange.state.principal = lifted;
        return { ...added, principal: lifted };
      }),
    "authorise the endpoint": (run) => (exchange) => mapMaybe(decide(exchange, decideEndpoint), () => run(exchange)),
    "decide again after a late body": (run) => (exchange) =>
      mapMaybe(run(exchange), (added) =>
        // If it was refused or nothing changed, the decision on the endpoint holds.
        added === null || !("principal" in added) ? added : mapMaybe(decide(exchange, decideEndpoint), () => added),
      ),
    "authorise the input": (run) => (exchange) => mapMaybe(decide(exchange, decideInput), () => run(exchange)),
  };

  return (name, run) => wrappers[name]?.(run) ?? run;
}

/** Wraps a step for exchanges with the members that shadow mode reads. */
type WrapShadowedStep = <Exchange extends ShadowedExchange>(run: RunStep<Exchange>) => RunStep<Exchange>;
type WrapShadowed = <Exchange extends ShadowedExchange>(name: StepName, run: RunStep<Exchange>) => RunStep<Exchange>;

/** Returns the code with which a step would refuse a principal; `null`: it would pass. */
type Decision = (principal: Principal, exchange: ShadowedExchange) => MaybePromise<string | null>;

/** Returns the connection that a request names, as far as it is known. */
function connectionOf(
  { tenant }: Principal,
  { state, params }: ShadowedExchange,
  shadowed: ShadowedDevices | undefined,
): MaybePromise<ConnectionRecord | null> {
  const connectionId = params?.["connectionId"];
  if (state.action !== null || connectionId === undefined || shadowed === undefined)
    return state.action?.connection ?? null;
  // Shadow mode must not fail a request.
  return shadowed.findConnection(tenant, connectionId).catch(() => null);
}

/** Returns the tags of the device that registers; `null` if they are not known, or the key is not restricted to tags. */
function tagsOf(
  { tenant, deviceTags = null }: Principal,
  { input }: ShadowedExchange,
  shadowed: ShadowedDevices | undefined,
): MaybePromise<readonly string[] | null> {
  const decoded = input?.decoded;
  if (deviceTags === null || shadowed === undefined || decoded?.operation !== "registerEnvironment") return null;
  return readTags(shadowed.devices, tenant, decoded.body.deviceId).catch(() => null);
}

/** Decides with the functions of the step, and checks the device of the connection. */
function refuseEndpoint(
  principal: Principal,
  { endpoint, params = {} }: ShadowedExchange,
  connection: ConnectionRecord | null,
): string | null {
  if (endpoint === undefined) return null;
  const isForeign = connection !== null && !allowsDevice(principal, connection.environment);
  return isForeign ? "connection_not_found" : codeOf(authoriseEndpoint(principal, endpoint, params));
}

function refuseInput(
  principal: Principal,
  { input, state }: ShadowedExchange,
  tags: readonly string[] | null,
): string | null {
  if (input === undefined) return null;
  const { decoded } = input;
  if (decoded.operation === "registerEnvironment" && !allowsRegistration(principal, decoded.body, tags)) {
    return "device_not_allowed";
  }
  const refusal = authoriseInput(principal, decoded);
  if (refusal !== null) return codeOf(refusal);
  const record = decoded.operation === "sendMessage" ? state.action?.connection : null;
  if (record === undefined || record === null) return null;
  return allowsMode(principal, record.environment.currentMode ?? undefined) ? null : "mode_not_allowed";
}

function codeOf(refusal: PlainResponse | null): string | null {
  const code = refusal === null ? null : parseJsonObject(refusal.body)?.["errorCode"];
  return typeof code === "string" ? code : null;
}

/** Whether a key may register a device. Tags that are not known are not checked. */
function allowsRegistration(
  principal: GatewayPrincipal,
  { deviceId, connectionName }: RegisterRequest,
  tags: readonly string[] | null,
): boolean {
  const device = { deviceId, connectionName, tags };
  const checked = tags === null ? { ...principal, deviceTags: null } : principal;
  return allowsDevice(checked, device) && allowsInvitedName(principal, device);
}

/** The members of a caller that shadow mode can lift, with its key. */
type RestrictedCaller = Pick<
  Principal,
  "keyId" | "deviceIds" | "connectionNames" | "deviceTags" | "agentIds" | "maxMode" | "modeCeiling"
>;

/** Returns a caller without the restrictions that are in shadow mode for its key. */
export type LiftRestrictions = <Caller extends RestrictedCaller>(caller: Caller) => Caller;

/** A {@link LiftRestrictions} by settings. Open streams and sockets, and the rights of an administering key, are compared with its result. */
export function liftRestrictions<Caller extends RestrictedCaller>(
  caller: Caller,
  { keyIds, rules }: ShadowSettings,
): Caller {
  if (!keyIds.has(caller.keyId)) return caller;
  return {
    ...caller,
    ...(rules.has("devices") && { deviceIds: null, connectionNames: null, deviceTags: null }),
    ...(rules.has("agents") && { agentIds: null }),
    // Otherwise a key that sets a mode would be limited to that mode once its maximum is lifted, which is stricter.
    ...(rules.has("maxMode") && caller.maxMode !== null && { maxMode: null, modeCeiling: null }),
  };
}
