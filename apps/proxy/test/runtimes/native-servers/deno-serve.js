/* global Deno */
/** Deno's own server, which tells what it makes of a request. */
import process from "node:process";

const answer = (request) => Response.json({ method: request.method, url: request.url });
const onListen = ({ port }) => process.stdout.write(`listening http://127.0.0.1:${port}/\n`);
Deno.serve({ port: 0, hostname: "127.0.0.1", onListen }, answer);
