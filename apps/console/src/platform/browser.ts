/** The parts of the browser that the page uses besides the document: time, storage and the address. */

/** Current time in epoch milliseconds. */
export function now(): number {
  return Date.now();
}

/** Milliseconds since a moment in the past. For durations: unlike {@link now}, it is never set. */
export function monotonic(): number {
  return performance.now();
}

/** A random id for a message. */
export function randomId(): string {
  return crypto.randomUUID();
}

/** Calls a function repeatedly until the returned function is called. */
export function every(intervalMs: number, run: () => void): () => void {
  const timer = globalThis.setInterval(run, intervalMs);
  return () => clearInterval(timer);
}

/** Resolves after a time, or when the signal is aborted. */
export function pause(timeMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, timeMs);
    signal.addEventListener("abort", end);
  });
}

/** Reads a value that {@link writeStored} wrote. Returns `null` if it is missing or the browser forbids storage. */
export function readStored(storage: "localStorage" | "sessionStorage", name: string): unknown {
  try {
    return JSON.parse(globalThis[storage].getItem(`letta-console:${name}`) ?? "null");
  } catch {
    return null;
  }
}

/** Keeps a value until the tab ends (`sessionStorage`), or in this browser (`localStorage`): never a key or a message there. */
export function writeStored(storage: "localStorage" | "sessionStorage", name: string, value: unknown): void {
  try {
    globalThis[storage].setItem(`letta-console:${name}`, JSON.stringify(value));
  } catch {
    // Storage is forbidden or full: the page works without, and the value is missing after a reload.
  }
}

/** Whether the user points with a finger, and types on a keyboard on the screen. */
export function isTouched(): boolean {
  return matchMedia("(pointer: coarse)").matches;
}

/** The base URL of the gateway: the page is at `/console/` below it. */
export function gatewayUrl(): string {
  return new URL("..", location.href.split("#")[0]).href.replace(/\/$/, "");
}

/** The fragment of the address without `#`. */
export function readFragment(): string {
  return location.hash.slice(1);
}

/** Replaces the fragment without a new entry in the history. */
export function replaceFragment(fragment: string): void {
  history.replaceState(null, "", fragment === "" ? location.pathname : `#${fragment}`);
}

/** Changes the fragment, so that "back" returns to the last one. */
export function pushFragment(fragment: string): void {
  location.hash = fragment;
}

/** Calls a function when the browser loses its network, and when it has one again. */
export function onNetworkChange(run: () => void): void {
  addEventListener("offline", run);
  addEventListener("online", run);
}

/** How many parts of the page hold it: it stays unchanged, whatever its address says. */
let holds = 0;

/** Calls a function when the user changes the fragment; if the page is held, when that ends, unless the function is urgent. */
export function onFragment(run: () => void, isUrgent = false): void {
  addEventListener("hashchange", () => {
    if (isUrgent || holds === 0) run();
  });
}

/** Goes to the first view, without a new entry in the history. */
export function clearFragment(): void {
  location.replace("#");
}

/** Holds the page: "back" waits, and the browser asks before it leaves or reloads the page. Returns a function that ends this. */
export function holdPage(): () => void {
  const ask = (event: Event): void => event.preventDefault();
  holds += 1;
  addEventListener("beforeunload", ask);
  return () => {
    removeEventListener("beforeunload", ask);
    // Not before the part that comes next, such as the dialog with a secret that has arrived, holds the page too.
    setTimeout(() => {
      holds -= 1;
      dispatchEvent(new Event("hashchange"));
    });
  };
}
