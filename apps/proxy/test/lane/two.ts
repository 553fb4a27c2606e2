import { spawn } from "node:child_process"; import { connect } from "node:net"; import { once } from "node:events";
const s = spawn(process.execPath, ["test/lane/echo-server.ts"], { stdio: ["pipe", "pipe", "inherit"] });
let o = ""; s.stdout.on("data", (d) => (o += d)); while (!o.includes("\n")) await once(s.stdout, "data");
const [a, b] = o.split(" ").slice(1).map(Number);
const H = (l: string) => l + " HTTP/1.1\r\nHost: a\r\n\r\n";
for (const st of [[H("GET /v1/slow")], [H("GET /v1/slow") + H("GET /v1/x")], [H("GET /v1/slow") + H("HEAD /v1/environments/device-1")], [H("GET /v1/slow") + H("GET /v1/environments/device-1")], [H("GET /v1/x") + H("HEAD /v1/large")],[H("GET /v1/x"), H("HEAD /v1/large")],[H("GET /v1/slow") , H("HEAD /v1/large")],[H("GET /v1/slow") + H("HEAD /v1/large")]])
for (const p of [a, b]) { const c = connect({ port: p!, host: "127.0.0.1", noDelay: true }); let r = ""; let e = ""; const done = new Promise((r) => c.once("close", r)); c.on("data", (d) => (r += d.toString("latin1"))).on("error", (x: any) => (e = x.code));
 const t=performance.now(); for (const [i, t] of st.entries()) { if (i) await new Promise((r) => setTimeout(r, 5)); c.write(t, "latin1"); } c.end(); await done;
 console.log(JSON.stringify(st.map((x) => x.replaceAll(" HTTP/1.1\r\nHost: a\r\n\r\n", ";"))), p === a ? "server" : "lane", e, r.match(/HTTP\/1.1 \d+/g)?.join(" "), r.length, Math.round(performance.now()-t)); }
s.kill();
