/**
 * Starts a Worker in workerd: the built gateway (`gateway`) or the bare one (`bare`). It goes through Miniflare without wrangler, whose proxy
 * would be a second workerd in front, and the Worker listens itself. Words: which Worker, its port. Variables of the gateway: VARIABLES, as JSON.
 */
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";
import { deviceText, listText } from "../../systems/fixed-answer.ts";

const appFolder = join(import.meta.dirname, "../../../apps/proxy");
const requireOfWrangler = createRequire(createRequire(join(appFolder, "package.json")).resolve("wrangler"));
const { unstable_getMiniflareWorkerOptions: optionsOf } = requireOfWrangler("wrangler");
const { convertV4MiniflareOptions: convertOptions, Miniflare } = requireOfWrangler("miniflare");
const { workerOptions: gateway, main } = optionsOf(join(appFolder, "wrangler.jsonc"));
const chunks = readdirSync(dirname(main))
  .map((file) => join(dirname(main), file))
  .filter((file) => file !== main && file.endsWith(".js"));

const workers = {
  gateway: () => ({
    ...gateway,
    // The static files would need a router in front.
    assets: undefined,
    serviceBindings: { ASSETS: () => new Response(null, { status: 404 }) },
    modulesRules: undefined,
    modulesRoot: dirname(main),
    modules: [main, ...chunks].map((path) => ({ type: "ESModule", path })),
    bindings: JSON.parse(process.env.VARIABLES ?? "{}"),
  }),
  bare: () => ({
    modules: true,
    script: readFileSync(join(import.meta.dirname, "../../edge/workers/bare.js"), "utf8"),
    compatibilityDate: gateway.compatibilityDate,
    durableObjects: { COUNTER: { className: "Counter", useSQLite: true } },
    bindings: { ONE: deviceText("bench-device"), LIST: listText },
  }),
};
const [worker, port] = process.argv.slice(2);

const host = new Miniflare(
  convertOptions({
    ...workers[worker](),
    host: "127.0.0.1",
    logRequests: false,
    unsafeDirectSockets: [{ host: "127.0.0.1", port: Number(port) }],
    // What the Worker logs goes nowhere, as with the other servers.
    handleStructuredLogs: () => undefined,
  }),
);
await host.ready;
const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8").trim().split(" ");
const workerd = children.find((pid) => readFileSync(`/proc/${pid}/comm`, "utf8").trim() === "workerd");
process.stdout.write(`listening ${port} workerd ${workerd}\n`);
process.on("SIGTERM", () => void host.dispose().then(() => process.exit()));
