/**
 * Requests with a method that the parser of the runtime does not know, such as `FOO /v1/environments`. The parser refuses the bytes, but they
 * are a request to a path: the route, or the pipeline, responds as it does to any method that the path does not have.
 */
import { METHODS } from "node:http";
import type { Socket } from "node:net";
import type { PlainResponse } from "@letta-environments/schema";
import { type GatewayRequest, requestTarget } from "../../http/gateway-request.ts";
import { neverAborted } from "../../lib/deadline.ts";
import type { Pipeline } from "../../pipeline.ts";
import type { HostRoute } from "../gateway.ts";
import { joinedHeader } from "./request.ts";

/** A method is a token (RFC 9110 section 5.6.2). Longer ones than any that exists are not worth a line in the log. */
const requestLine = /^([\w!#$%&'*+.^`|~-]{1,32}) (\/\S*) HTTP\/1\.[01]$/;

/**
 * Returns the request in bytes that a parser has refused, or `null` if its method is not the reason.
 *
 * @param code of the parser's error; Deno's parser does not report the reason
 */
export function readUnknownMethod(
  code: string | undefined,
  rawPacket: Uint8Array | undefined,
  { remoteAddress }: Pick<Socket, "remoteAddress">,
): GatewayRequest | null {
  if (code !== "HPE_INVALID_METHOD" && code !== "HPE_ERROR") return null;
  const [head = ""] = new TextDecoder("latin1").decode(rawPacket).split("\r\n\r\n");
  const [line = "", ...fields] = head.split("\r\n");
  const [, method, target] = requestLine.exec(line) ?? [];
  if (method === undefined || target === undefined || METHODS.includes(method)) return null;
  const rawHeaders = fields.flatMap((field) => {
    const [name = "", ...value] = field.split(":");
    return [name, value.join(":").trim()];
  });
  return {
    method,
    ...requestTarget(target),
    header: (name) => joinedHeader(rawHeaders, name),
    // No path has such a method, so the body does not matter.
    readBody: () => Promise.resolve(null),
    signal: neverAborted,
    authority: null,
    clientAddress: remoteAddress ?? null,
  };
}

/** Returns the response of the route that has the path of a request, or of the pipeline. */
export async function respondToUnknownMethod(
  request: GatewayRequest,
  { pipeline, routes }: { readonly pipeline: Pick<Pipeline, "handle">; readonly routes: readonly HostRoute[] },
): Promise<PlainResponse> {
  const route = routes.find(({ path }) => hasPath(path, request.path));
  return (route?.respond ?? pipeline.handle)(request);
}

/** Whether a path matches a route, whose segments may be names (`:code`), and the last one `*` for everything that follows. */
function hasPath(pattern: string, path: string): boolean {
  const [expected, segments] = [pattern.split("/"), path.split("/")];
  const hasLength = expected.at(-1) === "*" ? segments.length >= expected.length : segments.length === expected.length;
  return hasLength && expected.every((each, index) => each === "*" || each.startsWith(":") || each === segments[index]);
}
