/* global Bun */
/** Bun's own server, which tells what it makes of a request. */
import process from "node:process";

const answer = (request) => Response.json({ method: request.method, url: request.url });
const server = Bun.serve({ port: 0, hostname: "127.0.0.1", development: false, fetch: answer });
process.stdout.write(`listening ${server.url.href}\n`);
