import type { IncomingMessage } from "node:http";
import type { GatewayRequest } from "../../gateway-request.ts";
import { readIncomingBody } from "./read-incoming-body.ts";
import { requestTarget } from "./request-target.ts";

const plainHost = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;

/**
 * A {@link GatewayRequest} over Node's own request. Path, query and headers are those of the wire: nothing in between has
 * resolved a dot segment or dropped a second field.
 *
 * @param openSignal gives the signal that aborts when the caller goes away; asked at most once.
 */
export function incomingRequest(incoming: IncomingMessage, openSignal: () => AbortSignal): GatewayRequest {
  const { path, query } = requestTarget(incoming.url ?? "");
  const host = incoming.headers.host ?? "";
  let signal: AbortSignal | undefined;
  return {
    method: incoming.method ?? "",
    path,
    query,
    header: (name) => joinedHeader(incoming.rawHeaders, name),
    readBody: (limitBytes) => readIncomingBody(incoming, limitBytes),
    get signal() {
      return (signal ??= openSignal());
    },
    authority: plainHost.test(host) ? `http://${host}` : null,
    clientAddress: incoming.socket.remoteAddress ?? null,
  };
}

/** Whether there is more than one `Host`, which is answered 400 (RFC 9112 section 3.2): those in front may have believed another one. */
export function hasSeveralHosts({ rawHeaders }: Pick<IncomingMessage, "rawHeaders">): boolean {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? "";
    if (name.length === 4 && name.toLowerCase() === "host") count += 1;
  }
  return count > 1;
}

/** Node's own `headers` keeps the first of two `Authorization` fields; here both are seen. */
function joinedHeader(rawHeaders: readonly string[], name: string): string | null {
  let joined: string | null = null;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const rawName = rawHeaders[index] ?? "";
    if (rawName.length !== name.length || rawName.toLowerCase() !== name) continue;
    const value = rawHeaders[index + 1] ?? "";
    joined = joined === null ? value : `${joined}, ${value}`;
  }
  return joined;
}
