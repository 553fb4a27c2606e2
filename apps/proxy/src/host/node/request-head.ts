/**
 * The rules of HTTP/1.1 for a request head that the parsers of Node, Bun and Deno leave to the server. A proxy in front may read such a
 * head differently, and then the two disagree about where a request ends (RFC 9112 section 11.2).
 */
import type { IncomingMessage } from "node:http";
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { joinedHeader } from "./request.ts";

/** The facts about a request head that the rules need. */
export type RequestHead = Pick<IncomingMessage, "httpVersionMajor" | "httpVersionMinor" | "rawHeaders">;

type RequestLine = Pick<IncomingMessage, "method" | "url" | "rawHeaders">;

/** Maximum number of header fields in a request. The three runtimes have different limits, all of them higher. */
const maxFields = 100;

/** Returns the refusal of a head that breaks a rule, after which the connection must be closed; `null` for a valid one. */
export function refuseHead({ httpVersionMajor, httpVersionMinor, rawHeaders }: RequestHead): PlainResponse | null {
  if (httpVersionMajor !== 1) return otherVersion;
  if (rawHeaders.length > 2 * maxFields) return tooManyFields;
  let hosts = 0;
  let lengths = 0;
  let codings: string | null = null;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? "";
    if (isNamed(name, "host")) hosts += 1;
    else if (isNamed(name, "content-length")) lengths += 1;
    else if (isNamed(name, "transfer-encoding")) {
      const coding = rawHeaders[index + 1] ?? "";
      codings = codings === null ? coding : `${codings}, ${coding}`;
    }
  }
  // A proxy in front may have used another one (RFC 9112 section 3.2).
  if (hosts > 1) return severalHosts;
  // Load balancers may send health checks in HTTP/1.0, which does not have the field.
  if (hosts === 0 && httpVersionMinor > 0) return noHost;
  if (lengths > 1) return severalLengths;
  if (codings === null) return null;
  // HTTP/1.0 has no transfer encodings, so its framing is faulty (RFC 9112 section 6.1).
  return httpVersionMinor === 1 && codings.trim().toLowerCase() === "chunked" ? null : unknownCoding;
}

function isNamed(name: string, expected: string): boolean {
  return name.length === expected.length && name.toLowerCase() === expected;
}

/** Whether a request is about the whole server (RFC 9110 section 9.3.7), which no URL can express. */
export function isServerOptions({ method, url }: Omit<RequestLine, "rawHeaders">): boolean {
  return method === "OPTIONS" && url === "*";
}

/**
 * Whether a client wants another protocol. A server may ignore that (RFC 9110 section 7.8), but the parsers stop reading after such a
 * request, so it must be the last one of its connection.
 */
export function requestsUpgrade({ rawHeaders }: Pick<IncomingMessage, "rawHeaders">): boolean {
  if (joinedHeader(rawHeaders, "upgrade") === null) return false;
  return /(?:^|,)\s*upgrade\s*(?:,|$)/i.test(joinedHeader(rawHeaders, "connection") ?? "");
}

/** Targets of the API without anything unusual. */
const plainTarget: RegExp = /^\/v1\/[\w.~!$&'()*+,;=:@%/?-]*$/;
/** Hosts in lower case with or without a port. */
const plainHost: RegExp = /^[a-z0-9._-]+(?::(?:[1-5]\d{3,4}|[6-9]\d{3}))?$/;

/**
 * Whether a request is for the API and has nothing unusual in its method, its target and its Host. The host then calls the pipeline itself:
 * a web `Request` and Hono's router would cost more than all of the pipeline's steps, and find the same handler.
 */
export function isPlainRequest({ method, url, rawHeaders }: RequestLine): boolean {
  if (method !== "GET" && method !== "HEAD" && method !== "POST") return false;
  return plainTarget.test(url ?? "") && plainHost.test(joinedHeader(rawHeaders, "host") ?? "");
}

/** Whether a request is a plain probe of `/livez`, to which the host responds without Hono too: it is the first request after a start. */
export function isLivenessProbe({ method, url, rawHeaders }: RequestLine): boolean {
  return method === "GET" && url === "/livez" && plainHost.test(joinedHeader(rawHeaders, "host") ?? "");
}

/** The response to {@link isServerOptions}. */
export const serverOptions: PlainResponse = {
  status: 204,
  headers: { allow: "GET, HEAD, POST, PATCH, DELETE, OPTIONS" },
  body: null,
};

const otherVersion = problemResponse("invalid_request", { detail: "The gateway speaks HTTP/1.1." });

const tooManyFields = problemResponse("invalid_request", {
  status: 431,
  detail: `The request has more than ${maxFields} header fields.`,
});

const broken = (member: string, rule: string): PlainResponse =>
  problemResponse("invalid_request", { issues: [{ member, rule }] });

const severalHosts = broken("host", "must be present exactly once");
const noHost = broken("host", "must be present in HTTP/1.1");
const severalLengths = broken("content-length", "must be present at most once");
const unknownCoding = broken("transfer-encoding", "must be absent or chunked, in HTTP/1.1");
