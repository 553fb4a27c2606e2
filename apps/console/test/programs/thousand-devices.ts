/**
 * Measures the page with 1,000 devices that change once a second: `node apps/console/test/programs/thousand-devices.ts [SECONDS]`. Prints the
 * processor time of the page, and how long it takes from an input to the next frame: key presses in the search field, and inputs that
 * change most of the page. Exit code 1 if a limit is exceeded.
 */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { connectScriptedDevice, type ScriptedDevice } from "@letta-environments/testkit";
import { emit } from "../support/emit.ts";
import { launchBrowser, launchConsoleGateway } from "../support/gateway.ts";

const count = 1_000;
const seconds = Number(process.argv[2] ?? 20);
const limits = { cores: 0.5, inputMs: 100 };
const search = `const input = document.querySelector("input[type=search]")`;
const status = `const input = document.querySelector("select[aria-label=Status]")`;
/** Inputs that add, remove or move hundreds of rows, as statements of the page. They follow the search for one device. */
const actions = [
  ["clear the search", `${search}; type(input, "")`],
  ["sort, descending", `document.querySelector(".sort").click()`],
  ["sort, ascending", `document.querySelector(".sort").click()`],
  ["only offline devices", `${status}; type(input, "offline")`],
  ["any status", `${status}; type(input, "")`],
  ["leave the list", `location.hash = "#/overview"`],
  ["return to the list", `location.hash = "#/devices"`],
] as const;

const gateway = await launchConsoleGateway({ rateLimits: { enabled: false } });
const browser = await launchBrowser();
const devices: ScriptedDevice[] = [];
const ended = new AbortController();
try {
  const { url } = gateway.proxy;
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(await gateway.link());
  await page.getByText("No devices yet").waitFor();
  const apiKey = await gateway.proxy.createKey({ scopes: ["connect"] });
  for (let first = 0; first < count; first += 50) {
    const names = Array.from({ length: 50 }, (_, index) => `device-${String(first + index).padStart(4, "0")}`);
    devices.push(
      ...(await Promise.all(names.map((deviceId) => connectScriptedDevice({ baseUrl: url, apiKey, deviceId })))),
    );
  }
  const sending = devices.map((device, index) => change(device, index));
  await page.getByText(`${count} devices, ${count} online`).waitFor();
  await delay(3_000);
  const session = await browser.newBrowserCDPSession();
  /** Processor time of all threads of the pages. */
  const taskSeconds = async (): Promise<number> => {
    const { processInfo } = await session.send("SystemInfo.getProcessInfo");
    return processInfo.filter(({ type }) => type === "renderer").reduce((sum, { cpuTime }) => sum + cpuTime, 0);
  };
  const before = await taskSeconds();
  const changesBefore = await changes();
  await delay(seconds * 1_000);
  const cores = ((await taskSeconds()) - before) / seconds;
  const changed = ((await changes()) - changesBefore) / seconds;
  await page.evaluate(
    `window.longest = 0; new PerformanceObserver((list) => {
      window.longest = Math.max(window.longest, ...list.getEntries().map(({ duration }) => duration));
    }).observe({ type: "longtask" })`,
  );
  const keys: number[] = [];
  for (const key of "device-0421") {
    keys.push(await page.evaluate<number>(measure(`${search}; type(input, input.value + ${JSON.stringify(key)})`)));
    await delay(250);
  }
  const shown = await page.getByRole("row").count();
  const others: (readonly [name: string, milliseconds: number])[] = [];
  for (const [name, action] of actions) {
    others.push([name, await page.evaluate<number>(measure(action))]);
    await delay(1_000);
  }
  const slowest = Math.max(...keys, ...others.map(([, milliseconds]) => milliseconds));
  process.stdout.write(
    `${count} devices, ${changed.toFixed(0)} changes a second on the page\n` +
      `processor of the page: ${cores.toFixed(2)} cores (limit ${limits.cores})\n` +
      `rows after the search: ${shown - 1}\n` +
      `input to next frame, slowest: ${slowest.toFixed(0)} ms (limit ${limits.inputMs})\n` +
      `  key press: median ${median(keys).toFixed(0)} ms, slowest ${Math.max(...keys).toFixed(0)} ms\n` +
      others.map(([name, milliseconds]) => `  ${name}: ${milliseconds.toFixed(0)} ms\n`).join("") +
      `longest task of the page, which the next input waits for: ${(await page.evaluate<number>("window.longest")).toFixed(0)} ms\n`,
  );
  process.exitCode = cores < limits.cores && slowest < limits.inputMs ? 0 : 1;
  ended.abort();
  await Promise.all(sending);

  /** The directories that the page shows count up with each change. */
  async function changes(): Promise<number> {
    return page.evaluate<number>(
      "[...document.querySelectorAll('.directory .mono')].reduce((sum, cell) => sum + Number(cell.textContent.split('/').at(-1)), 0)",
    );
  }
} finally {
  ended.abort();
  await browser.close();
  for (const device of devices) await device.terminate().catch(() => undefined);
  await gateway.stop();
}

/** Reports a new directory once a second, devices at different moments. */
async function change(device: ScriptedDevice, index: number): Promise<void> {
  await delay((index % 100) * 10);
  for (let sequence = 1; !ended.signal.aborted; sequence++) {
    emit(device, {
      type: "update_device_status",
      device_status: {
        is_online: true,
        is_processing: false,
        current_permission_mode: "standard",
        current_working_directory: `/srv/app/${sequence}`,
        pending_control_requests: [],
      },
    });
    if (sequence % 20 === 0) device.send({ type: "ping" });
    await delay(1_000, undefined, { signal: ended.signal }).catch(() => undefined);
  }
}

/** Runs an action in the page, and resolves with the milliseconds until the next frame was drawn. */
function measure(action: string): string {
  return `new Promise((resolve) => {
    const type = (input, value) => {
      input.value = value;
      input.dispatchEvent(new Event(input.tagName === "SELECT" ? "change" : "input", { bubbles: true }));
    };
    const startedAt = performance.now();
    ${action};
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => resolve(performance.now() - startedAt);
      channel.port2.postMessage(null);
    });
  })`;
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;
}
