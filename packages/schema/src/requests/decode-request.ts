/**
 * Decodes a request's query and JSON body. Decoders return a value or the response that refuses the request, and never
 * throw. The limits on size and depth apply before a schema reads the input.
 */
import type { GenericSchema } from "valibot";
import type { DecodedRequest, KnownEndpoint } from "../endpoints/endpoints.ts";
import { type CheckedValue, checkValue } from "../checks/check-value.ts";
import { findExcess } from "../base/nesting.ts";
import type { PlainResponse } from "../base/plain-http.ts";
import { problemResponse } from "../problems/problem.ts";
import type { ProblemIssue } from "../problems/problem-definitions.ts";

/** The decoded value, or the response that refuses the request. */
export type Decoded<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly response: PlainResponse };

/** Maximum size of a request body, in bytes. An endpoint may have a smaller one. */
export const maxBodyBytes = 1_048_576;

/** A request's query and body as received. */
export interface RawInput {
  /** Query without the leading `?`; empty when there is none. */
  readonly query: string;
  readonly body: Uint8Array | null;
  /** Value of `Content-Type`; `undefined` when the header is missing. */
  readonly contentType: string | undefined;
}

/** An endpoint of the table, and the ids in the path of a request. */
export interface MatchedEndpoint {
  readonly endpoint: KnownEndpoint;
  readonly params: Readonly<Record<string, string>>;
}

/**
 * Decodes the query and the body of a matched request. An endpoint without a query or a body ignores the one it receives.
 *
 * Refusals: the same as of {@link decodeQuery} and {@link decodeBody}.
 */
export function decodeRequest(
  matched: MatchedEndpoint,
  { query: rawQuery, body: rawBody, contentType }: RawInput,
): Decoded<DecodedRequest> {
  const { endpoint } = matched;
  const query = endpoint.query === null ? none : decodeQuery<unknown>(endpoint.query, rawQuery);
  if (!query.ok) return query;
  const body =
    endpoint.body === null ? none : decodeBody<unknown>(endpoint.body, rawBody, contentType, endpoint.maxBodyBytes);
  if (!body.ok) return body;
  return { ok: true, value: toDecodedRequest(matched, { query: query.value, body: body.value }) };
}

/** Returns a matched request with its decoded query and body, each `null` if the endpoint takes none. */
export function toDecodedRequest(
  { endpoint: { operation }, params }: MatchedEndpoint,
  input: { readonly query: unknown; readonly body: unknown },
): DecodedRequest {
  // The matcher filled every id of the endpoint's path, and its own schemas decoded the rest.
  return { operation, params, ...input } as DecodedRequest;
}

const none = { ok: true, value: null } as const;

/**
 * Decodes a raw query with a schema. A parameter may be given once, or several times if its member is an array or unknown, since a
 * newer API may define it.
 *
 * Refusals: 400 `invalid_request` naming the parameter and the rule.
 */
export function decodeQuery<Value>(schema: GenericSchema<unknown, Value>, rawQuery: string): Decoded<Value> {
  const values: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>;
  for (const [name, value] of new URLSearchParams(`?${rawQuery}`)) {
    const earlier = values[name];
    const kind = kindOf(schema, name);
    if (earlier === undefined) values[name] = kind === "list" ? [value] : value;
    else if (kind === "single") return invalid([{ member: name.slice(0, 64), rule: "must be given once" }]);
    else if (typeof earlier === "string") values[name] = [earlier, value];
    else earlier.push(value);
  }
  return check(checkValue(schema, values, "query"));
}

/** How often a parameter may be given: a member of an object schema that is an array, even an optional or nullable one, is a list. */
function kindOf(schema: GenericSchema, name: string): "single" | "list" | "unknown" {
  const { entries } = schema as { readonly entries?: Readonly<Record<string, MemberSchema>> };
  if (entries !== undefined && !Object.hasOwn(entries, name)) return "unknown";
  let member = entries?.[name];
  while (member?.wrapped !== undefined) member = member.wrapped;
  return member?.type === "array" ? "list" : "single";
}

/** The members of valibot's schemas that {@link kindOf} reads. */
interface MemberSchema {
  readonly type: string;
  readonly wrapped?: MemberSchema;
}

/**
 * Decodes a JSON body with a schema. Of members with the same name, the last one counts. An object of our schemas loses members called `__proto__`,
 * `prototype` and `constructor`, which valibot leaves out; inside members that the schemas do not know they are kept.
 *
 * Refusals: 415 `unsupported_media_type`, 413 `body_too_large`, 400 `malformed_json`, 400 `invalid_request` naming the
 * member and the rule.
 */
export function decodeBody<Value>(
  schema: GenericSchema<unknown, Value>,
  body: Uint8Array | null,
  contentType: string | undefined,
  limitBytes: number = maxBodyBytes,
): Decoded<Value> {
  if (!isJsonMediaType(contentType)) return refuse(problemResponse("unsupported_media_type"));
  if (body !== null && body.byteLength > limitBytes) return refuse(bodyTooLarge(limitBytes));
  const bytes = body ?? new Uint8Array();
  // Not at module level, because a platform without it (jsdom under Jest) could not load the package. It costs no measurable time.
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let value: unknown;
  try {
    const text = decoder.decode(bytes);
    const excess = findExcess(text);
    if (excess !== null) return invalid([{ member: "body", rule: excess }]);
    value = JSON.parse(text);
  } catch {
    return refuse(problemResponse("malformed_json"));
  }
  // A schema that is not ours may accept an array as an object without members.
  if (Array.isArray(value)) return invalid([{ member: "body", rule: "must be an object" }]);
  return check(checkValue(schema, value, "body"));
}

/** The refusal of a body that is larger than the limit of its endpoint. */
export function bodyTooLarge(limitBytes: number = maxBodyBytes): PlainResponse {
  if (limitBytes === maxBodyBytes) return problemResponse("body_too_large");
  const bytes = `${limitBytes.toLocaleString("en")} bytes`;
  return problemResponse("body_too_large", {
    detail: `The body is larger than ${limitBytes / 1_024} KiB (${bytes}).`,
    issues: [{ member: "body", rule: `must have at most ${bytes}` }],
  });
}

/** Returns whether a media type is JSON in UTF-8. A missing media type counts as JSON, the only accepted format. */
export function isJsonMediaType(contentType: string | undefined): boolean {
  if (contentType === undefined || contentType === "application/json") return true;
  const [mediaType = "", ...parameters] = contentType
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  if (!/^application\/(?:[a-z0-9!#$&^_.+-]+\+)?json$/.test(mediaType)) return false;
  // Spaces around the equals sign are not allowed, but do not make another charset count as UTF-8.
  return parameters.every((parameter) => !/^charset\s*=(?!\s*"?utf-?8"?$)/.test(parameter));
}

function check<Value>(checked: CheckedValue<Value>): Decoded<Value> {
  return checked.ok ? checked : invalid(checked.issues);
}

function invalid(issues: readonly ProblemIssue[]): { ok: false; response: PlainResponse } {
  return refuse(problemResponse("invalid_request", { issues }));
}

function refuse(response: PlainResponse): { ok: false; response: PlainResponse } {
  return { ok: false, response };
}
