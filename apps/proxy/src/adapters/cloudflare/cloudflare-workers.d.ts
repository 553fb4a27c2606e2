/** The used part of the runtime's module. `test/cloudflare/runtime-types.test.ts` compares it with Cloudflare's types. */
declare module "cloudflare:workers" {
  import type { DurableStorage } from "@letta-environments/platform/cloudflare";

  export abstract class DurableObject<Env = unknown> {
    protected readonly ctx: DurableObjectContext;
    protected readonly env: Env;
    constructor(ctx: DurableObjectContext, env: Env);
  }

  export interface DurableObjectContext {
    readonly storage: DurableStorage & {
      /** Returns the time of the alarm, in epoch milliseconds; `null` if none is set, or while its handler runs. */
      getAlarm(): Promise<number | null>;
      /** Sets the only alarm, in epoch milliseconds. */
      setAlarm(atMs: number): Promise<void>;
      /** Deletes the alarm too. */
      deleteAll(): Promise<void>;
    };
  }

  /** Keeps the context of the current request alive until a promise settles. */
  export function waitUntil(promise: Promise<unknown>): void;
}
