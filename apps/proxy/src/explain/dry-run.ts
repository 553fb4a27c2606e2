/**
 * Runs the steps of the pipeline without their effects. It reads limits without charging them, and records and caches nothing. It skips the steps
 * that pass a request to the cache or the upstream. All other steps are the same as for a real request, so their decisions cannot differ.
 */
import {
  type KnownEndpoint,
  type PlainResponse,
  type Problem,
  problemResponse,
  refused,
} from "@letta-environments/schema";
import type { Authentication, GatewayPrincipal } from "../auth/authentication.ts";
import type { Features } from "../features.ts";
import type { GatewayRequest } from "../http/gateway-request.ts";
import type { ValidRequest } from "../http/validate-request.ts";
import { parseJsonObject } from "../lib/json.ts";
import { isRefused, mapMaybe } from "../lib/steps.ts";
import { unleased } from "../limits/response.ts";
import type { PipelineParts } from "../pipeline.ts";
import type { StepName } from "../step-names.ts";
import { createRequestState, type RequestExchange, type WrapApiStep } from "../request-exchange.ts";
import { type ExplainedRule, finding } from "./explanation.ts";

/** The findings of the steps. A member is absent if they did not get that far. */
export interface DryRunExchange extends RequestExchange {
  readonly endpoint?: KnownEndpoint;
  readonly params?: Readonly<Record<string, string>>;
  readonly principal?: GatewayPrincipal;
  readonly input?: ValidRequest;
  readonly idempotencyKey?: string | null;
}

export interface DryRun {
  readonly rules: readonly ExplainedRule[];
  /** The response of the step that refused; `null` if every step passed. */
  readonly refusal: PlainResponse | null;
  readonly exchange: DryRunExchange;
}

/** Steps that change something outside the request. A dry run skips them. */
const forwardingSteps: ReadonlySet<StepName> = new Set([
  "prepare the upstream call",
  "read through the cache",
  "call the upstream",
]);

/** Steps that concern transport only: WebSocket handshakes and late bodies. */
const transportSteps: ReadonlySet<StepName> = new Set([
  "refuse a plain request for a socket",
  "decide again after a late body",
]);

const wouldForward: PlainResponse = { status: 200, headers: {}, body: null };

/** Creates a function that runs a request whose key was verified. */
export function createDryRun({
  services,
  features,
  createSteps,
}: PipelineParts): (request: GatewayRequest, authentication: Authentication) => Promise<DryRun> {
  const authentications = new WeakMap<GatewayRequest, Authentication>();
  const observed = new WeakMap<object, ExplainedRule[]>();

  const wrap: WrapApiStep = (name, run) => (exchange) => {
    const { state } = exchange;
    if (name === "call the upstream") return wouldForward;
    if (forwardingSteps.has(name) || transportSteps.has(name)) return null;
    const shadowed = state.shadowRefusedBy.length;
    return mapMaybe(run(exchange), (result) => {
      const rule = describeStep(name, result, state.refusalReason);
      const codes = state.shadowRefusedBy.slice(shadowed);
      const isLifted = rule.result === "passed" && codes.length > 0;
      const detail = `only because of shadow mode, which does not enforce ${codes.join(", ")}`;
      observed.get(state)?.push(isLifted ? { ...rule, detail } : rule);
      return result;
    });
  };
  const steps = createSteps(withoutEffects(features, authentications), wrap);

  return async (request, authentication) => {
    const exchange: RequestExchange = { request, state: createRequestState(request, services) };
    const rules: ExplainedRule[] = [];
    authentications.set(request, authentication);
    observed.set(exchange.state, rules);
    // The steps add their findings to this object.
    const response = await steps(exchange);
    return { rules, refusal: response === wouldForward ? null : response, exchange };
  };
}

/** Returns features that decide the same but change nothing. */
function withoutEffects(features: Features, authentications: WeakMap<GatewayRequest, Authentication>): Features {
  const { limits, extensions } = features;
  const authenticationOf = (request: GatewayRequest): Authentication =>
    authentications.get(request) ?? refused(problemResponse("missing_key"));
  return {
    ...features,
    authenticate: authenticationOf,
    // The body is part of one that is already counted.
    bodyMemory: null,
    // Viewers are authenticated like every other caller: their tickets are not spent.
    extensions: extensions && { ...extensions, authenticate: () => null },
    limits: limits && {
      ...limits,
      take: (...check) => mapMaybe(limits.probe(...check), unleased),
    },
  };
}

function describeStep(rule: string, result: object | null, reason: string | null): ExplainedRule {
  if (result === null || !isRefused(result)) return finding(rule, "passed");
  const { detail, errorCode } = describeProblem(result.response);
  return finding(rule, "refused", reason ?? detail, errorCode);
}

/** The detail and the code of a problem of this process. */
export function describeProblem({ body }: PlainResponse): Pick<ExplainedRule, "detail" | "errorCode"> {
  const { detail = null, errorCode = null, errors = [] } = (parseJsonObject(body) ?? {}) as Partial<Problem>;
  const broken = errors.map(({ member, rule }) => `${member} ${rule}`).join("; ");
  return { detail: broken === "" ? detail : broken, errorCode };
}
