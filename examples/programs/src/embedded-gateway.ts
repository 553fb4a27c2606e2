/**
 * A service with its own routes, and below `/letta` the gateway with its environment server: devices connect to this program. One HTTP
 * server has the requests and the sockets of both.
 */
import type { Server } from "node:http";
import { serve } from "@hono/node-server";
import { getConnInfo } from "@hono/node-server/conninfo";
import { openGateway } from "@letta-environments/proxy/server";
import { Hono } from "hono";

/** Where the service is reached, and where its data is. */
export interface ServiceOptions {
  /** Such as `http://127.0.0.1:8080`; behind a reverse proxy, its address. */
  readonly publicUrl: string;
  readonly port: number;
  readonly dataDir: string;
}

/** A service that runs. */
export interface Service {
  /** A key for callers, and one for devices, which connect with `LETTA_BASE_URL=<publicUrl>/letta`. */
  readonly keys: { readonly caller: string; readonly device: string };
  stop(): Promise<void>;
}

/** Starts the service. Rejects with an error that names the setting or the file that cannot be used. */
export async function startService({ publicUrl, port, dataDir }: ServiceOptions): Promise<Service> {
  const gateway = await openGateway({
    environment: { DATA_DIR: dataDir, PUBLIC_URL: `${publicUrl}/letta` },
    mountPath: "/letta",
    log: () => undefined,
  });
  const app = new Hono()
    .get("/hello", (context) => context.text("hello"))
    .all("/letta/*", (context) =>
      // The address of the connection. Behind a reverse proxy, set rateLimits.trustedHops in `config`.
      gateway.fetch(context.req.raw, { clientAddress: getConnInfo(context).remote.address }),
    );
  const server = serve({ fetch: app.fetch, port, hostname: "127.0.0.1" }) as Server;
  gateway.serveSockets(server);
  return {
    keys: {
      caller: await gateway.createKey({ name: "caller", scopes: ["list", "read", "send"] }),
      device: await gateway.createKey({ name: "device", scopes: ["connect"] }),
    },
    async stop() {
      // No new connections; the gateway finishes what it has, and disconnects the devices.
      server.close();
      await gateway.close();
    },
  };
}
