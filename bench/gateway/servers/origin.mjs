/* global Bun */
/** The origin on Bun, for machines without nginx. Bodies are prepared as far as can be, since it shares a core with the load. */
import process from "node:process";
import { deviceText, listText } from "../../systems/fixed-answer.ts";

const encode = (text) => new TextEncoder().encode(text);
const [beforeId, afterId] = deviceText("{id}").split("{id}");
const list = encode(listText);
const sent = encode(JSON.stringify({ success: true, message: "sent" }));
const options = { headers: { "content-type": "application/json" } };
const prefixLength = "/v1/environments/".length;
let requests = 0;

function fetch({ method, url }) {
  const path = url.slice(url.indexOf("/", "http://".length));
  if (path === "/requests") return new Response(String(requests));
  requests += 1;
  if (method === "POST") return new Response(sent, options);
  const isList = path.length < prefixLength || path[prefixLength - 1] === "?";
  return new Response(isList ? list : beforeId + path.slice(prefixLength) + afterId, options);
}

const { port } = Bun.serve({ port: 0, hostname: "127.0.0.1", development: false, idleTimeout: 0, fetch });
process.stdout.write(`listening ${port}\n`);
