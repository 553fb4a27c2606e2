import { compareStreams } from "./compare.ts";
const [rt, n, seed] = process.argv.slice(2);
const t = performance.now();
const r = await compareStreams(rt as never, Number(n), Number(seed));
console.log(rt, n, "answered", r.answered, "paced", r.paced, "ms", Math.round(performance.now() - t), "differences", r.differences.length);
for (const d of r.differences.slice(0, 6)) console.log(JSON.stringify(d, (_k, v) => typeof v === "string" && v.length > 900 ? v.slice(0, 900) + "…" : v, 1));
