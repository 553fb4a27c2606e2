/* global Deno */
/** Deno's own server. */
import { announce, bodies, headers } from "./answer.mjs";

const options = { port: 0, hostname: "127.0.0.1", onListen: () => undefined };
const servers = bodies.map((body) => Deno.serve(options, () => new Response(body, { headers })));
announce(servers.map(({ addr }) => addr.port));
