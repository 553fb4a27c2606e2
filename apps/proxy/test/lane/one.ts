import { spawn } from "node:child_process"; import { connect } from "node:net"; import { once } from "node:events";
import { createRandom, generateStream } from "./generate-streams.ts";
const s = spawn(process.execPath, ["test/lane/echo-server.ts"], { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, NODE_DEBUG: "" } });
let o = ""; s.stdout.on("data", (d) => (o += d)); while (!o.includes("\n")) await once(s.stdout, "data");
const [a, b] = o.split(" ").slice(1).map(Number);
for (const idx of process.argv.slice(2).map(Number)) { const st = generateStream(createRandom(1 + idx));
for (const p of [a, b, a, b]) { const c = connect({ port: p!, host: "127.0.0.1", noDelay: true }); let r = ""; let e = ""; const done = new Promise((r) => c.once("close", r)); c.on("data", (d) => (r += d.toString("latin1"))).on("error", (x: any) => (e = x.code));
 for (const [i, t] of st.entries()) { if (i) await new Promise((r) => setTimeout(r, 5)); c.write(t, "latin1"); } c.end(); await done;
 console.log(idx, p === a ? "server" : "lane", e, r.match(/HTTP\/1.1 \d+/g)?.join(" "), r.length); } }
s.kill();
