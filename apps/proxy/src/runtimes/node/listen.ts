import { once } from "node:events";
import type { Server } from "node:http";
import { CommandError } from "@letta-environments/command-line";

/**
 * Opens the server's port and resolves with the URL under which it is reached from this machine.
 *
 * @param setting names of the settings of host and port, for whoever has to change one.
 * @throws CommandError when the port cannot be opened.
 */
export async function listen(
  server: Server,
  host: string,
  port: number,
  setting = { host: "--host", port: "--port" },
): Promise<string> {
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (cause) {
    throw new CommandError(describe(cause, host, port, setting), 1, { cause });
  }
  const address = server.address();
  return `http://${reachableHost(host)}:${typeof address === "object" ? (address?.port ?? port) : port}`;
}

/** A wildcard address is no address to connect to. */
function reachableHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}

function describe(
  cause: unknown,
  host: string,
  port: number,
  setting: { readonly host: string; readonly port: string },
): string {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "EADDRINUSE") return `Port ${port} of ${host} is taken; choose another one with ${setting.port}.`;
  if (code === "EACCES")
    return `Port ${port} may not be opened by this user; choose one above 1023 with ${setting.port}.`;
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND")
    return `${host} is no address of this machine; see ${setting.host}.`;
  return `Cannot listen on ${host} port ${port} (${String(code ?? cause)}).`;
}
