/* global Deno */
/** Deno's own server. */
import process from "node:process";
import { body, headers } from "./answer.mjs";

const onListen = ({ port }) => process.stdout.write(`listening ${port}\n`);
Deno.serve({ port: 0, hostname: "127.0.0.1", onListen }, () => new Response(body, { headers }));
