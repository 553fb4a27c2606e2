/** The content codings of responses of the upstream (RFC 9110 section 8.4), for the clients of Node, Bun and Deno. */
import { promisify } from "node:util";
import { brotliDecompress, gunzip } from "node:zlib";
import type { PlainHeaders, PlainResponse } from "@letta-environments/schema";
import type { UpstreamFailure } from "../ports.ts";

const decoders = { gzip: promisify(gunzip), "x-gzip": promisify(gunzip), br: promisify(brotliDecompress) };

/** The header field of requests that says which codings are decoded. */
export const acceptedEncodings: PlainHeaders = { "accept-encoding": "gzip, br" };

/** Returns a response with its body decompressed; synchronously if it has no coding. */
export function decode(
  response: PlainResponse,
  maxBytes: number,
): PlainResponse | Promise<PlainResponse | UpstreamFailure> {
  const { body } = response;
  if (!(body instanceof Uint8Array) || body.byteLength === 0) return response;
  const coding = codingOf(response);
  return coding === "" ? response : decompress(response, body, coding, maxBytes);
}

/** Returns the content coding of a body, without `identity`, which codes nothing. A list of several codings is returned whole, so it is unknown. */
function codingOf({ headers }: PlainResponse): string {
  const list = headers["content-encoding"]?.toLowerCase().split(",") ?? [];
  const codings = list.map((coding) => coding.trim()).filter((coding) => coding !== "" && coding !== "identity");
  return codings.join(", ");
}

async function decompress(
  response: PlainResponse,
  body: Uint8Array,
  coding: string,
  maxOutputLength: number,
): Promise<PlainResponse | UpstreamFailure> {
  if (!isKnown(coding))
    return { reason: "undecodable", cause: new Error("the response has an unknown content coding") };
  try {
    return { ...response, body: await decoders[coding](body, { maxOutputLength }) };
  } catch (cause) {
    const isTooLarge = cause instanceof Error && "code" in cause && cause.code === "ERR_BUFFER_TOO_LARGE";
    return isTooLarge ? { reason: "too_large", cause: null } : { reason: "undecodable", cause };
  }
}

function isKnown(coding: string): coding is keyof typeof decoders {
  return Object.hasOwn(decoders, coding);
}
