/** Validates query and body by the schemas of an endpoint, the same for every upstream. */
import {
  bodyTooLarge,
  checkIdempotencyKey,
  type DecodedRequest,
  decodeBody,
  decodeQuery,
  type Endpoint,
  idempotencyKeyHeader,
  type KnownEndpoint,
  maxBodyBytes,
  type PlainResponse,
  problemResponse,
  refused,
  type Refused,
} from "@letta-environments/schema";
import type { MaybePromise } from "../lib/steps.ts";
import type { BodyMemory, UnreadBody } from "./body-memory.ts";
import { callerGone, type GatewayRequest } from "./gateway-request.ts";

/** The part of an endpoint that validation needs. */
export type InputRules = Pick<Endpoint, "query" | "body" | "maxBodyBytes"> & {
  /** Whether an absent body stands for an empty object. */
  readonly mayLackBody?: boolean;
};

const encoder = new TextEncoder();
const emptyObject: Uint8Array = encoder.encode("{}");

/** The query and the body as the schemas of an endpoint decode them; `null` where it takes none. */
export interface DecodedInput {
  readonly query: unknown;
  readonly body: unknown;
}

/** The validated query and body of a request. */
export interface ValidInput<Decoded = DecodedInput> {
  /** The query, serialised again so that every later reader sees the same; empty when there is none. */
  readonly query: string;
  /**
   * The decoded body, serialised again, so that the upstream reads what was checked: no byte order mark and no duplicate members. Unknown
   * members are kept for an upstream that knows them. `null` when the endpoint takes no body, or nobody reads it serialised.
   */
  readonly body: Uint8Array | null;
  readonly decoded: Decoded;
}

/** A valid request of the API. The operation of `decoded` narrows its ids, query and body. */
export type ValidRequest = ValidInput<DecodedRequest>;

/** The result of {@link validateRequest}; with {@link DecodedRequest}, the result for an API request. */
export type Validation<Decoded = DecodedInput> =
  | { readonly kind: "valid"; readonly input: ValidInput<Decoded> }
  | Refused;

/** Remembers, until a request ends, how to release the memory of its body. The state of the request does this. */
export interface BodyHolder {
  /** Releases the memory of the body, and may be called more than once; `null`: none was taken. */
  releaseBody: (() => void) | null;
}

/** How a valid body is counted, released and forwarded. */
export interface BodyHandling {
  readonly memory: BodyMemory;
  readonly holder: BodyHolder;
  /** Whether it is forwarded, so that it is serialised again. */
  readonly isForwarded: boolean;
}

/** Validates the query and the body of a request. Synchronous for an endpoint that takes no body. */
export function validateRequest(
  request: GatewayRequest,
  endpoint: InputRules,
  use: BodyHandling,
): MaybePromise<Validation> {
  const query = request.query === "" ? "" : new URLSearchParams(request.query).toString();
  const checked = endpoint.query === null ? null : decodeQuery(endpoint.query, query);
  if (checked?.ok === false) return refused(checked.response);
  const input = { query, body: null, decoded: { query: checked?.value ?? null, body: null } };
  if (endpoint.body === null) return { kind: "valid", input };
  return validateBody(request, input, { ...endpoint, body: endpoint.body }, use);
}

async function validateBody(
  request: GatewayRequest,
  { query, decoded }: ValidInput,
  {
    body: schema,
    mayLackBody = false,
    maxBodyBytes: limitBytes = maxBodyBytes,
  }: InputRules & { readonly body: NonNullable<Endpoint["body"]> },
  { memory, holder, isForwarded }: BodyHandling,
): Promise<Validation> {
  const encoded =
    refuseUnless(request, "content-encoding", "identity", "unsupported_media_type") ??
    // The gateway's own listeners refuse such a head before the pipeline (`refuseHead`).
    refuseUnless(request, "transfer-encoding", "chunked", "invalid_request");
  if (encoded !== null) return encoded;
  const body = await request.readBody({ maxBytes: limitBytes, memory });
  if (typeof body === "string") return refused(refuseUnread(body, limitBytes));
  const checked = decodeBody(
    schema,
    body ?? (mayLackBody ? emptyObject : null),
    request.header("content-type") ?? undefined,
  );
  if (!checked.ok) return refused(withAcceptedTypes(request.method, checked.response));
  const { value } = checked;
  const inexact = findInexactNumber(value);
  if (inexact !== null) {
    const issues = [{ member: inexact.slice(1), rule: inexactRule }];
    return refused(problemResponse("invalid_request", { issues }));
  }
  const { budget, owner } = memory;
  if (budget !== null) {
    holder.releaseBody = budget.held.take(owner, body?.byteLength ?? 0, value);
    if (holder.releaseBody === null) return refused(noRoom);
  }
  const bytes = isForwarded ? encoder.encode(JSON.stringify(value)) : null;
  return { kind: "valid", input: { query, body: bytes, decoded: { ...decoded, body: value } } };
}

const noRoom = problemResponse("overloaded", {
  detail: "The gateway has no memory for more request bodies of this key. The request was not executed.",
});

/** Returns the response to a request whose body was not read. */
export function refuseUnread(reason: UnreadBody, limitBytes: number): PlainResponse {
  if (reason === "too_large") return bodyTooLarge(limitBytes);
  if (reason === "no_room") return noRoom;
  return reason === "aborted"
    ? callerGone
    : problemResponse("invalid_request", { status: reason === "late" ? 408 : 400 });
}

/** Refuses an encoding of a body. `Accept-Encoding` distinguishes it from a wrong media type (RFC 9110 section 15.5.16). */
function refuseUnless(
  request: GatewayRequest,
  member: string,
  only: string,
  code: "unsupported_media_type" | "invalid_request",
): Refused | null {
  if ((request.header(member) ?? only).toLowerCase() === only) return null;
  const issues = [{ member, rule: `must be absent or ${only}` }];
  return refused(problemResponse(code, { issues, headers: { "accept-encoding": "identity" } }));
}

/** A patch that is refused for its media type gets the list of accepted ones (RFC 5789 section 2.2). */
function withAcceptedTypes(method: string, response: PlainResponse): PlainResponse {
  if (method !== "PATCH" || response.status !== 415) return response;
  return problemResponse("unsupported_media_type", {
    detail: "Send the body as application/merge-patch+json or application/json in UTF-8, without a content encoding.",
    headers: { "accept-patch": "application/merge-patch+json, application/json" },
  });
}

/** I-JSON (RFC 7493 section 2.2): such a number might not arrive as it was sent; a string does. */
const inexactRule =
  "must not be an integer beyond 9007199254740991 or a number beyond the range of a double; send it as a string";

/**
 * Returns the path of a number that parsing has changed, or may have changed, such as `.messages[0].x` in a body; `null` if there is none. JSON has
 * integers of any size, JavaScript has doubles.
 */
function findInexactNumber(value: unknown): string | null {
  if (typeof value === "number") {
    return !Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)) ? "" : null;
  }
  if (typeof value !== "object" || value === null) return null;
  const isArray = Array.isArray(value);
  for (const name in value) {
    const inner = findInexactNumber((value as Record<string, unknown>)[name]);
    if (inner !== null) return `${isArray ? `[${name}]` : `.${name.slice(0, 64)}`}${inner}`;
  }
  return null;
}

/** Reads the `Idempotency-Key` of a send; `null` if it has none, and for other requests, which ignore the header. */
export function readIdempotencyKey(
  request: GatewayRequest,
  { operation }: Pick<KnownEndpoint, "operation">,
): { readonly idempotencyKey: string | null } | Refused {
  const idempotencyKey = operation === "sendMessage" ? request.header(idempotencyKeyHeader) : null;
  const response = checkIdempotencyKey(idempotencyKey);
  return response === null ? { idempotencyKey } : refused(response);
}
