/** The part of the runtime's own module that is used; `test/cloudflare/runtime-types.test.ts` holds it against Cloudflare's types. */
declare module "cloudflare:workers" {
  import type { DurableStorage } from "@letta-environments/platform/cloudflare";

  /** The base class of every Durable Object. */
  export abstract class DurableObject<Env = unknown> {
    protected readonly ctx: DurableObjectContext;
    protected readonly env: Env;
    constructor(ctx: DurableObjectContext, env: Env);
  }

  /** The state that the platform passes to a Durable Object. */
  export interface DurableObjectContext {
    readonly storage: DurableStorage & {
      /** In epoch milliseconds; one at a time. */
      setAlarm(atMs: number): Promise<void>;
      /** Takes the alarm away too. */
      deleteAll(): Promise<void>;
    };
  }

  /** Keeps the context of the present request alive until a promise settles. */
  export function waitUntil(promise: Promise<unknown>): void;
}
