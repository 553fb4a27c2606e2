import type { KnownEndpoint, PlainResponse, Principal } from "@letta-environments/schema";
import type { GatewayRequest } from "../http/gateway-request.ts";
import type { ValidRequest } from "../http/validate-request.ts";
import type { GatewayPorts, UpstreamRequest } from "../ports.ts";
import { buildUpstreamRequest } from "./build-upstream-request.ts";
import type { CredentialChoice } from "./choose-credential.ts";
import type { ForwardAuthorised } from "./forward-authorised.ts";
import type { UpstreamOptions } from "./settings.ts";

/** An authorised request that is about to be forwarded. */
export interface AuthorisedRequest {
  readonly request: GatewayRequest;
  readonly requestId: string;
  readonly endpoint: KnownEndpoint;
  readonly params: Readonly<Record<string, string>>;
  readonly principal: Principal;
  /** The caller's own upstream key; `null` where the gateway's credential is used. */
  readonly ownCredential: string | null;
}

/** A call that can be made, now or by the cache. */
export interface UpstreamCall {
  readonly request: GatewayRequest;
  readonly endpoint: KnownEndpoint;
  readonly params: Readonly<Record<string, string>>;
  readonly query: string;
  readonly principal: Principal;
  /** The upstream credential; `null` for none. */
  readonly credential: string | null;
  /**
   * Calls the upstream. Without a signal the call is a background refresh with a deadline of its own; with one, all calls for the
   * request share one deadline.
   */
  readonly fetch: (signal?: AbortSignal) => Promise<PlainResponse>;
}

/** See {@link createUpstreamCalls}. */
export interface UpstreamCalls {
  prepare(
    exchange: AuthorisedRequest & {
      readonly input: ValidRequest;
      readonly beforeSend: (deviceId: string | null) => Promise<PlainResponse | null>;
    },
  ): UpstreamCall;
  /** The upgrade request of a device, as the embedded server receives it. */
  socketRequest(exchange: AuthorisedRequest): UpstreamRequest;
}

/** Prepares upstream calls of authorised requests: credential, request and deadline. */
export function createUpstreamCalls(
  { clock }: Pick<GatewayPorts, "clock">,
  config: UpstreamOptions,
  upstream: ForwardAuthorised,
  chooseCredential: CredentialChoice,
): UpstreamCalls {
  return {
    prepare({ request, requestId, endpoint, params, principal, ownCredential, input, beforeSend }) {
      const { query, queryValues, body, bodyValue } = input;
      const credential = chooseCredential(request, requestId, principal, ownCredential);
      const parts = { endpoint, params, query, body, principal, requestId, credential };
      const decoded = { params, queryValues, bodyValue, beforeSend };
      const newDeadline = (): number => clock.monotonic() + config.upstreamTimeoutMs;
      const requestDeadlineMs = newDeadline();
      return {
        request,
        endpoint,
        params,
        query,
        principal,
        credential: credential?.value ?? null,
        fetch(signal) {
          const deadline =
            signal === undefined ? { atMs: newDeadline(), signal: neverAborted } : { atMs: requestDeadlineMs, signal };
          return upstream.forward(endpoint, buildUpstreamRequest(request, parts, config), deadline, decoded);
        },
      };
    },
    socketRequest({ request, requestId, endpoint, params, principal }) {
      const query = new URLSearchParams(request.query).toString();
      return buildUpstreamRequest(request, { endpoint, params, query, body: null, principal, requestId }, config);
    },
  };
}

const neverAborted = new AbortController().signal;
