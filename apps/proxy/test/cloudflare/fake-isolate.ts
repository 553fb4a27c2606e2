/**
 * The Worker in this process, over Durable Objects and a Cache API that count their calls. Everything that the Worker leaves in the
 * background can be awaited, so a test knows every call that a request has caused.
 */
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { vi } from "vitest";
import type { DurableObjectContext } from "cloudflare:workers";
import { workerSecrets } from "../runtimes/workerd-launcher.ts";

/** The calls since the last look, by name, such as `LIMITS.take` or `cache.match`. */
export type Calls = Readonly<Record<string, number>>;

/** An isolate with its own objects. */
export interface FakeIsolate {
  /** `changed` are bindings that this request has instead of those of the start; `undefined`: the request does not have this binding. */
  fetch(path: string, init?: RequestInit, changed?: Readonly<Record<string, unknown>>): Promise<Response>;
  /** Resolves with the calls since the last time, once nothing runs in the background. */
  takeCalls(): Promise<Calls>;
}

const background: Promise<unknown>[] = [];

/** The module `cloudflare:workers` for `vi.mock`. */
export const workersModule = {
  DurableObject: class {
    readonly ctx: DurableObjectContext;
    readonly env: unknown;
    constructor(ctx: DurableObjectContext, env: unknown) {
      this.ctx = ctx;
      this.env = env;
    }
  },
  waitUntil: (work: Promise<unknown>) => void background.push(work),
};

/** Loads the Worker as a new isolate. `upstream` responds to its requests. */
export async function startFakeIsolate(
  upstream: (request: Request) => Response,
  config: object = {},
): Promise<FakeIsolate> {
  const counts = new Map<string, number>();
  const count = (name: string): void => void counts.set(name, (counts.get(name) ?? 0) + 1);
  const cache = createFakeCache(count);
  vi.stubGlobal("caches", { open: () => Promise.resolve(cache) });
  vi.stubGlobal("fetch", async (input: string | URL | Request, init?: RequestInit) =>
    upstream(new Request(input, init)),
  );
  vi.resetModules();
  const worker = await import("../../src/runtimes/cloudflare.ts");
  const env = {
    ...workerSecrets,
    UPSTREAM_URL: "https://upstream.example",
    PROXY_CONFIG: config,
    ASSETS: { fetch: () => Promise.resolve(new Response("{}")) },
  };
  const bindings = {
    ...env,
    KEYS: createFakeNamespace("KEYS", worker.KeyObject, env, count),
    LIMITS: createFakeNamespace("LIMITS", worker.RateLimitObject, env, count),
    FLIGHTS: createFakeNamespace("FLIGHTS", worker.FlightObject, env, count),
    AUDIT: createFakeNamespace("AUDIT", worker.AuditObject, env, count),
    TENANTS: createFakeNamespace("TENANTS", worker.TenantObject, env, count),
  };
  return {
    fetch: (path, init, changed) =>
      worker.default.fetch(new Request(`https://gateway.example${path}`, init), { ...bindings, ...changed } as never),
    async takeCalls() {
      for (let work = background.shift(); work !== undefined; work = background.shift()) await work;
      const calls = Object.fromEntries(counts);
      counts.clear();
      return calls;
    },
  };
}

type ObjectClass = new (ctx: DurableObjectContext, env: never) => object;

/** A namespace of Durable Objects. Each method call of a stub is a call, as on the platform, and copies what it passes. */
function createFakeNamespace(
  binding: string,
  Class: ObjectClass,
  env: object,
  count: (name: string) => void,
): { getByName(name: string): object } {
  const objects = new Map<string, object>();
  return {
    getByName(name) {
      const object = objects.get(name) ?? new Class(createFakeContext(), env as never);
      objects.set(name, object);
      return new Proxy(object, {
        get:
          (_, method) =>
          async (...values: readonly unknown[]): Promise<unknown> => {
            count(`${binding}.${String(method)}`);
            const run = Reflect.get(object, method) as (...values: readonly unknown[]) => unknown;
            return structuredClone(await run.apply(object, structuredClone(values) as unknown[]));
          },
      });
    },
  };
}

/** The part of the context of a Durable Object that the objects use, over SQLite in memory. Its alarm never rings by itself. */
export function createFakeContext(): DurableObjectContext {
  const database = new DatabaseSync(":memory:");
  let alarmAt: number | null = null;
  const storage = {
    sql: {
      exec(sql: string, ...values: SQLInputValue[]) {
        if (values.length === 0 && /;\s*\S/.test(sql)) {
          database.exec(sql);
          return { toArray: () => [], rowsWritten: 0 };
        }
        const statement = database.prepare(sql);
        const rows = statement.columns().length > 0 ? statement.all(...values) : null;
        const rowsWritten = rows === null ? Number(statement.run(...values).changes) : 0;
        return { toArray: () => rows ?? [], rowsWritten };
      },
    },
    transactionSync<Result>(run: () => Result): Result {
      database.exec("SAVEPOINT run");
      try {
        const result = run();
        database.exec("RELEASE run");
        return result;
      } catch (cause) {
        database.exec("ROLLBACK TO run; RELEASE run");
        throw cause;
      }
    },
    getAlarm: () => Promise.resolve(alarmAt),
    setAlarm: (atMs: number) => Promise.resolve(void (alarmAt = atMs)),
    deleteAlarm: () => Promise.resolve(void (alarmAt = null)),
    deleteAll: () => Promise.resolve(void (alarmAt = null)),
  };
  return { storage } as unknown as DurableObjectContext;
}

/** A cache in memory. */
function createFakeCache(count: (name: string) => void) {
  const stored = new Map<string, Response>();
  return {
    match(url: string) {
      count("cache.match");
      return Promise.resolve(stored.get(url)?.clone());
    },
    put(url: string, response: Response) {
      count("cache.put");
      stored.set(url, response);
      return Promise.resolve();
    },
    delete(url: string) {
      count("cache.delete");
      return Promise.resolve(stored.delete(url));
    },
  };
}
