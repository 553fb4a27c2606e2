/**
 * Servers of one store that reach each other's devices by messages, as processes would: everything that crosses is a structured clone, and
 * arrives later. It shows that {@link DeviceRouter} is enough for it.
 */
import { allowsDevice, type PlainResponse, problemResponse } from "@letta-environments/schema";
import type {
  ConnectionRecord,
  DeviceCall,
  DeviceLocation,
  DeviceRouter,
  EnvironmentStore,
  LocalDevices,
} from "../../src/index.ts";
import { createKeyedQueue } from "../../src/keyed-queue.ts";

/** The other process did not respond: it is gone. */
class LinkLostError extends Error {}

/** See the description of this file. */
export interface ServerLinks {
  /** Adds the server with this name. */
  join(podId: string, local: LocalDevices): DeviceRouter;
  /** Ends a server without a word: its pending and later responses never arrive. */
  cut(podId: string): void;
}

interface Member {
  readonly podId: string;
  readonly local: LocalDevices;
  readonly lost: AbortController;
}

/** Creates {@link ServerLinks} over a store. */
export function createServerLinks(store: EnvironmentStore): ServerLinks {
  const members = new Map<string, Member>();

  /** Sends a message and resolves with the reply. */
  async function ask<Result>(member: Member, run: (local: LocalDevices) => Result | Promise<Result>): Promise<Result> {
    const { signal } = member.lost;
    const lost = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(new LinkLostError()), { once: true });
      if (signal.aborted) reject(new LinkLostError());
    });
    const reply = transfer(null).then(() => {
      signal.throwIfAborted();
      return run(member.local);
    });
    return transfer(await Promise.race([reply, lost]));
  }

  /** Asks every server that is there. */
  async function askAll<Result>(run: (local: LocalDevices) => Result): Promise<readonly Result[]> {
    const all = [...members.values()].filter(({ lost }) => !lost.signal.aborted);
    return Promise.all(all.map((member) => ask(member, run)));
  }

  async function locate(environmentId: string): Promise<DeviceLocation | null> {
    const found = (await askAll((local) => local.locate(environmentId))).filter((location) => location !== null);
    const [latest = null] = found.toSorted(
      (left, right) => right.generation - left.generation || (right.opening ?? 0) - (left.opening ?? 0),
    );
    return latest;
  }

  /** Passes a call to another server. Functions stay here: the end of the signal becomes a message, which may arrive before the call. */
  async function pass(
    self: Member,
    member: Member,
    { request, principal, context }: DeviceCall,
  ): Promise<PlainResponse> {
    const { signal, beforeSend: _here, onAccepted: _kept, connection: _looked, decideAgain, ...plain } = context;
    const question = decideAgain && { decideAgain: () => transfer(null).then(decideAgain).then(transfer) };
    signal?.throwIfAborted();
    const cancelled = new AbortController();
    const cancel = (): void => cancelled.abort(new Error("the caller is gone"));
    signal?.addEventListener("abort", cancel);
    // The other server notices the loss of this one, which will neither answer its question nor cancel the call.
    self.lost.signal.addEventListener("abort", cancel);
    try {
      const message = await transfer({ request, principal, context: plain });
      const context = { ...message.context, ...question, signal: cancelled.signal };
      return await ask(member, (local) => local.deliver({ ...message, context }));
    } catch (cause) {
      signal?.throwIfAborted();
      if (!(cause instanceof LinkLostError)) throw cause;
      // It may have been written to the device.
      return problemResponse(request.operation === "sendMessage" ? "delivery_unknown" : "control_unknown");
    } finally {
      signal?.removeEventListener("abort", cancel);
      self.lost.signal.removeEventListener("abort", cancel);
    }
  }

  return {
    join(podId, local) {
      const self: Member = { podId, local, lost: new AbortController() };
      members.set(podId, self);
      return createRouter({ self, store, members, askAll, locate, pass });
    },
    cut: (podId) => members.get(podId)?.lost.abort(),
  };
}

function createRouter({
  self,
  store,
  members,
  askAll,
  locate,
  pass,
}: {
  readonly self: Member;
  readonly store: Pick<EnvironmentStore, "findConnection">;
  readonly members: ReadonlyMap<string, Member>;
  readonly askAll: <Result>(run: (local: LocalDevices) => Result) => Promise<readonly Result[]>;
  readonly locate: (environmentId: string) => Promise<DeviceLocation | null>;
  readonly pass: (self: Member, member: Member, call: DeviceCall) => Promise<PlainResponse>;
}): DeviceRouter {
  const queue = createKeyedQueue();

  /** The response that refuses a call before it is passed on; `null` to pass it on. */
  async function refuse(call: DeviceCall, { environment }: ConnectionRecord): Promise<PlainResponse | null> {
    if (call.request.operation !== "sendMessage" || !allowsDevice(call.principal, environment)) return null;
    return (await call.context.beforeSend?.(environment)) ?? null;
  }

  async function begin(call: DeviceCall): Promise<{ readonly response: Promise<PlainResponse> }> {
    const { tenant } = call.principal;
    const { connection = await store.findConnection(tenant, call.request.params.connectionId) } = call.context;
    const location = connection === null ? null : await locate(connection.environment.id);
    const owner = location === null ? self : (members.get(location.podId) ?? self);
    if (connection === null || owner === self) {
      return { response: self.local.deliver({ ...call, context: { ...call.context, connection } }) };
    }
    const refusal = await refuse(call, connection);
    return { response: refusal === null ? pass(self, owner, call) : Promise.resolve(refusal) };
  }

  return {
    async presence(environmentIds) {
      const all = await askAll((local) => local.presence(environmentIds));
      return environmentIds.map((_, index) => all.map((one) => one[index] ?? null).find((one) => one !== null) ?? null);
    },
    async onlineIds(tenant, afterId, limit) {
      const all = await askAll((local) => local.onlineIds(tenant, afterId, limit));
      return [...new Set(all.flat())].toSorted().slice(0, limit);
    },
    locate,
    async deliver(call) {
      const { tenant } = call.principal;
      const key = JSON.stringify([tenant, call.request.params.connectionId]);
      // Only the beginning is in the queue: a send waits for its device, and the next one does not wait for that.
      const { response } = await queue.run(key, () => begin(call));
      return response;
    },
    opened(environmentId, { generation, opening }) {
      for (const { podId, local } of members.values()) {
        if (podId !== self.podId) void transfer(null).then(() => local.replace(environmentId, generation, opening));
      }
    },
    ended: () => undefined,
  };
}

/** Lets a value arrive later, as plain data. */
async function transfer<Value>(value: Value): Promise<Value> {
  for (let turn = 0; turn < 3; turn += 1) await Promise.resolve();
  return structuredClone(value);
}
