/* global Bun */
/** Bun's own server. */
import { announce, bodies, headers } from "./answer.mjs";

const options = { port: 0, hostname: "127.0.0.1", development: false };
const servers = bodies.map((body) => Bun.serve({ ...options, fetch: () => new Response(body, { headers }) }));
announce(servers.map(({ port }) => port));
