import type { BodyLimits, UnreadBody } from "../../http/body-memory.ts";
import type { GatewayRequest } from "../../http/gateway-request.ts";
import { readWebBody, webGatewayRequest } from "./request.ts";

/**
 * Wraps a request that another program passes on, like {@link webGatewayRequest}. Its framework may have created it from Node's request after a
 * parser had read the body: then the new body is an empty stream.
 *
 * @param basePath path under which the gateway is mounted, such as `/letta`; it is not part of the request's path
 */
export function passedRequest(request: Request, clientAddress: string | null, basePath: string): GatewayRequest {
  const passed = webGatewayRequest(request, clientAddress);
  return Object.assign(passed, {
    path: pathBelow(basePath.replace(/\/\*?$/, ""), passed.path),
    readBody: (limits: BodyLimits) => readPassedBody(request, limits),
  });
}

/** Returns the path below a mount path, as it is in the URL; the whole path if it is elsewhere. Routers decode mount paths. */
function pathBelow(mount: string, path: string): string {
  if (path.startsWith(`${mount}/`)) return path.slice(mount.length);
  const start = path.split("/", mount.split("/").length).join("/");
  const isBelow = needsEncoding.test(mount) && path[start.length] === "/" && decodePath(start) === mount;
  return isBelow ? path.slice(start.length) : path;
}

const needsEncoding = /[^\w.~/-]/;

/** Decodes as Hono does: an encoded slash or percent sign stays encoded. */
function decodePath(path: string): string | null {
  try {
    return decodeURI(path.replaceAll("%25", "%2525"));
  } catch {
    return null;
  }
}

/** @throws TypeError if the program has read the body */
async function readPassedBody(request: Request, limits: BodyLimits): Promise<Uint8Array | null | UnreadBody> {
  const body = await readWebBody(request, limits);
  // If the caller has disconnected, reading fails instead.
  if (body === null && Number(request.headers.get("content-length") ?? 0) > 0) {
    throw new TypeError(
      "the body of the request was read before it reached the gateway: let it pass before body parsers",
    );
  }
  return body;
}
