/** `POST /admin/v1/explain`: how a request with a key, or with the claims of a token, is decided, rule by rule, without sending anything. */
import { jsonResponse, type PlainResponse, problemResponse } from "@letta-environments/schema";
import * as v from "valibot";
import { type OptionalAdminEndpoint, type OptionalAdminRoute, explainPath, NoQuerySchema } from "../admin/endpoints.ts";
import { type AdminAuthority, mayKnowKey } from "../admin/admission.ts";
import { grantIssues, type KeyGrants } from "../admin/grants.ts";
import { keyNotFound } from "../admin/key-changes.ts";
import { cacheTtlsOf } from "../cache/policy.ts";
import type { Features } from "../features.ts";
import { type GatewayRequest, makeRequest } from "../http/gateway-request.ts";
import { isJsonObject } from "../lib/json.ts";
import { exactObject } from "../lib/strict-schemas.ts";
import { rateLimitPath } from "../limits/endpoint.ts";
import type { PipelineParts } from "../pipeline.ts";
import type { RefuseInput } from "../ports.ts";
import { callerOfClaims, callerOfKey, type ExplainedCaller, grantsOf } from "./caller.ts";
import { createDryRun, type DryRunExchange } from "./dry-run.ts";
import { explainEmbedded, type UpstreamExplanation } from "./embedded-rules.ts";
import { type ExplainedRule, type Explanation, type ExplainRequest, finding } from "./explanation.ts";
import { createExplainLimits } from "./limits.ts";
import { explainRemote } from "./remote-rules.ts";

/** The largest target that a request can have. */
const maxPathLength = 8_192;

const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] as const;

/**
 * Whether a text is a path whose steps can run without effects: one of the API for environments, or an unused one below `/v1/`. A base URL
 * with a trailing slash gives two slashes.
 */
export const isApiPath = (path: string): boolean =>
  /^\/{1,2}v1\/[\x21-\x7e]*$/.test(path) && path.split("?")[0] !== rateLimitPath;

const pathRule =
  "must be a path of the API for environments with its query, such as /v1/environments?limit=2; others, such as /livez and /v1/ratelimit, are not explained";

/** Whether a request names one caller. */
export const hasOneCaller = ({ keyId, claims }: ExplainRequest): boolean =>
  (keyId === undefined) !== (claims === undefined);

/** The body of the request. */
export const ExplainRequestSchema: v.GenericSchema<unknown, ExplainRequest> = v.pipe(
  exactObject(
    {
      keyId: v.exactOptional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/, "must be the id of a key"))),
      claims: v.exactOptional(
        v.pipe(v.unknown(), v.check(isJsonObject, "must be an object with the claims of a token")),
      ),
      method: v.picklist(methods, `must be one of ${methods.join(", ")}`),
      path: v.pipe(
        v.string(),
        v.maxLength(maxPathLength, `must have at most ${maxPathLength} characters`),
        v.check(isApiPath, pathRule),
      ),
      body: v.exactOptional(v.unknown()),
    },
    () => "is not a member of the request",
  ) as v.GenericSchema<unknown, ExplainRequest>,
  v.check<ExplainRequest, string>(hasOneCaller, "must have either a keyId or claims"),
);

/** The endpoint as data. */
export const explainEndpoint: OptionalAdminRoute & { readonly operation: "explainRequest" } = {
  operation: "explainRequest",
  method: "POST",
  path: explainPath,
  query: NoQuerySchema,
  body: ExplainRequestSchema,
};

/** Explains how the request of a caller is decided. */
export type Explain = (
  caller: ExplainedCaller,
  wanted: ExplainRequest,
  /** Absent: the reader may know every device of the tenant. */
  seesEveryDevice?: boolean,
) => Promise<Explanation>;

/**
 * Creates an {@link Explain} over the parts of a pipeline.
 *
 * @param refuseInput that of the embedded environment server
 * @param isRunning Whether devices are connected to this process. A command can read only what is stored.
 */
export function createExplain(parts: PipelineParts, refuseInput: RefuseInput, isRunning: boolean): Explain {
  const { services, features, config } = parts;
  const { upstream } = services;
  const explainLimits = createExplainLimits(config.rateLimits.limits, isRunning);
  const run = createDryRun(parts);

  return async (caller, wanted, seesEveryDevice = true) => {
    const request = toGatewayRequest(wanted);
    const authentication = await features.applyTenant(caller.authentication, caller.kind);
    const { rules, refusal, exchange } = await run(request, authentication);
    const known = explainLimits(rules, exchange.state.rateLimit?.outcome.decisions ?? []);
    const upstreamRules =
      refusal === null
        ? await explainUpstream(exchange, seesEveryDevice)
        : { rules: [skipped], verdict: { status: refusal.status, errorCode: rules.at(-1)?.errorCode ?? null } };
    const { verdict } = upstreamRules;
    return {
      keyId: caller.keyId,
      operation: exchange.state.operation,
      verdict: known.isRefusalOpen || (known.isOpen && verdict !== null && verdict.status < 400) ? null : verdict,
      rules: [...caller.rules, ...known.rules, ...upstreamRules.rules],
      limits: known.limits,
    };
  };

  async function explainUpstream(exchange: DryRunExchange, seesEveryDevice: boolean): Promise<UpstreamExplanation> {
    const cache = cacheRule(exchange, services.environmentCache !== null);
    const { rules, verdict } =
      upstream.kind === "embedded"
        ? await explainEmbedded(upstream.server, exchange, {
            ...{ isRunning, seesEveryDevice },
            refuseInput: (request, principal) => refuseInput(request, principal, services.digests.sha256),
          })
        : await explainRemote(parts, exchange);
    return { rules: [...cache, ...rules], verdict };
  }
}

/** Creates the endpoint over the parts of a pipeline. */
export function createExplainEndpoint(parts: PipelineParts, refuseInput: RefuseInput): OptionalAdminEndpoint {
  const explain = createExplain(parts, refuseInput, true);
  return {
    endpoint: explainEndpoint,
    async respond({ body, tenantDevices }, authority) {
      const seesEveryDevice = authority.kind === "operator" || (tenantDevices === null && seesAll(authority.record));
      // The endpoint's own schema has decoded it.
      const wanted = body as ExplainRequest;
      const { services, features, config } = parts;
      if (wanted.claims !== undefined) {
        const caller = callerOfClaims(wanted.claims, config.jwt, services);
        const { authentication } = caller;
        const refusal =
          authentication.kind === "refused"
            ? null
            : refuseBeyond(authority, grantsOf(authentication.principal), features);
        return refusal ?? jsonResponse(200, await explain(caller, wanted, seesEveryDevice));
      }
      const record = await services.keyStore.find(wanted.keyId ?? "");
      if (record === null || !mayKnowKey(authority, record)) return keyNotFound;
      const caller = callerOfKey(record, services.hasExpired);
      const refusal = refuseBeyond(authority, record, features);
      return refusal ?? jsonResponse(200, await explain(caller, wanted, seesEveryDevice));
    },
  };
}

/** Whether nothing restricts a key to some devices of its tenant. */
function seesAll({ deviceIds, connectionNames, deviceTags }: KeyGrants): boolean {
  return deviceIds === null && connectionNames === null && deviceTags === null;
}

/**
 * Refuses to explain a caller with more rights than the administering key, as a rotation is refused: the explanation would reveal devices and
 * agents beyond these rights. Expiry and rate limits reveal nothing, so they are not compared.
 */
function refuseBeyond(
  authority: AdminAuthority,
  grants: KeyGrants,
  { configure }: Pick<Features, "configure">,
): PlainResponse | null {
  const issues = grantIssues(authority, grants, grants, { policies: [], configure }).filter(
    ({ member }) => member !== "expiresAt" && member !== "rateLimits",
  );
  if (issues.length === 0) return null;
  const detail = "The caller has more rights than the administering key, which may not explain it.";
  return problemResponse("grant_not_allowed", { detail, issues });
}

const skipped = finding("forward the request", "skipped", "a rule before it refused");

function cacheRule({ principal, input }: DryRunExchange, isCaching: boolean): readonly ExplainedRule[] {
  const ttls = principal && input && cacheTtlsOf(principal, input.decoded)?.get(200);
  if (ttls === undefined) return [];
  const detail = isCaching
    ? `a response may be up to ${ttls.freshForMs / 1_000} s old; it is shared with keys that may see the same`
    : "the cache is off";
  return [finding("read through the cache", "passed", detail)];
}

/** Converts the request to the form that the pipeline reads. */
function toGatewayRequest({ path: target, ...wanted }: ExplainRequest): GatewayRequest {
  const [path = "", ...query] = target.split("?");
  return makeRequest({ ...wanted, path, query: query.join("?") });
}
