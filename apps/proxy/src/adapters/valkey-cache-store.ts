import type { CacheStore, StoredResponse } from "@letta-environments/http-cache";
import { encodeKey } from "@letta-environments/http-cache";
import type { Clock, Sha256, ValkeyConnection, ValkeyReply } from "@letta-environments/platform";
import { createBreaker } from "../rate-limit/limiter.ts";
import { deleteGroupScript, putScript } from "./valkey-cache-script.ts";

/** Variants of one resource; one more forgets the others. */
const maxVariants = 32;
/** How long nobody asks a server that has failed, in milliseconds. */
const restMs = 1_000;
/** The hash tag of every key: a group and its answers are in one slot of a cluster. */
const prefix = "{letta-proxy}:cache";

type Wire = Omit<StoredResponse, "body"> & { readonly body: string };

/**
 * Answers in Valkey or Redis, shared by every gateway that uses it; a hit costs a round trip. While the server is away everything is a miss at
 * once: after a failure nobody asks it for a second.
 */
export function createValkeyCacheStore(connection: ValkeyConnection, clock: Clock, sha256: Sha256): CacheStore {
  const breaker = createBreaker(clock, restMs);
  const resourceOf = (key: string): string => `${prefix}:answer:${sha256(key)}`;
  const groupOf = (group: string): string => `${prefix}:group:${sha256(group)}`;

  async function ask(run: () => Promise<ValkeyReply>): Promise<ValkeyReply> {
    if (!breaker.admits()) throw new Error("the server failed a moment ago");
    try {
      const reply = await run();
      breaker.succeeded();
      return reply;
    } catch (cause) {
      breaker.failed();
      throw cause;
    }
  }

  return {
    async get(key) {
      const reply = await ask(() => connection.command(["HVALS", resourceOf(key)]));
      if (!Array.isArray(reply)) return [];
      const nowMs = clock.now();
      return reply
        .flatMap((value: ValkeyReply) => (typeof value === "string" ? [readValue(value)] : []))
        .filter(({ keepUntilMs }) => keepUntilMs > nowMs);
    },
    async put(key, response) {
      const groups = response.groups.map(groupOf);
      const variant = sha256(encodeKey([...response.vary, "", ...response.variant]));
      const values = [variant, writeValue(response, groups), Math.ceil(response.keepUntilMs), maxVariants];
      await ask(() => connection.evaluate(putScript, [resourceOf(key), ...groups], values));
    },
    async delete(key) {
      await ask(() => connection.command(["DEL", resourceOf(key)]));
    },
    async deleteGroup(group) {
      const name = groupOf(group);
      await ask(() => connection.evaluate(deleteGroupScript, [name], [name]));
    },
  };
}

/** The groups on the first line, for the script, and the answer behind it. */
function writeValue({ body, ...rest }: StoredResponse, groups: readonly string[]): string {
  const wire: Wire = { ...rest, body: Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("base64") };
  return `${groups.join(" ")}\n${JSON.stringify(wire)}`;
}

function readValue(value: string): StoredResponse {
  const { body, ...rest } = JSON.parse(value.slice(value.indexOf("\n") + 1)) as Wire;
  return { ...rest, body: new Uint8Array(Buffer.from(body, "base64")) };
}
