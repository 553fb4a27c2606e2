/* global Bun */
/** Bun's own server. */
import process from "node:process";
import { body, headers } from "./answer.mjs";

const fetch = () => new Response(body, { headers });
const { port } = Bun.serve({ port: 0, hostname: "127.0.0.1", development: false, fetch });
process.stdout.write(`listening ${port}\n`);
