import { setImmediate } from "node:timers/promises";
import { CommandError } from "@letta-environments/command-line";
import { expect, test } from "vitest";
import { withDialogues } from "./dialogues.ts";
import type { TurnPrinter } from "./printer.ts";

const never = new AbortController().signal;

/** A printer, and everything that it prints. `failWith` lets each piece fail. */
function createPrinter(failWith: Error | null = null) {
  const printed: string[] = [];
  const print = async (text: string) => void printed.push(text);
  const printer: TurnPrinter = {
    document: async () => true,
    async piece(piece) {
      if (failWith !== null) throw failWith;
      printed.push(piece.kind === "text" ? piece.text : piece.kind);
      return true;
    },
    line: print,
    detail: print,
    question: print,
    end: () => print("end"),
  };
  return { printer: withDialogues(printer), printed };
}

const textOf = (text: string) => ({ kind: "text", id: "t1", text }) as const;

test("nothing is printed between a question and its answer, and everything else afterwards in its order", async () => {
  const { printer, printed } = createPrinter();
  const answered = Promise.withResolvers<string>();
  const answer = printer.dialogue(never, async (lines) => {
    await lines.question("Allow curl? [y/n]");
    return answered.promise;
  });
  await setImmediate();
  await printer.piece(textOf("\n".repeat(40)));
  await printer.piece(textOf("Allow npm test? [y/n] "));
  await printer.line("laptop is away; waiting");
  expect(printed).toEqual(["Allow curl? [y/n]"]);
  answered.resolve("y");
  expect(await answer).toBe("y");
  await printer.line("later");
  expect(printed.slice(1)).toEqual(["\n".repeat(40), "Allow npm test? [y/n] ", "laptop is away; waiting", "later"]);
});

test("output without end during a question takes limited memory, and a line says that some is missing", async () => {
  const { printer, printed } = createPrinter();
  const answered = Promise.withResolvers<string>();
  const answer = printer.dialogue(never, () => answered.promise);
  await setImmediate();
  for (let count = 0; count < 20_000; count++) await printer.piece(textOf("x".repeat(900)));
  answered.resolve("y");
  await answer;
  expect(printed.length).toBeLessThan(2_000);
  expect(printed.filter((text) => !text.startsWith("x"))).toEqual(["some of the output is missing here"]);
  await printer.line("later");
  expect(printed.at(-1)).toBe("later");
});

test("a question begins only after another one has ended, and not if it has been cancelled by then", async () => {
  const { printer, printed } = createPrinter();
  const first = new AbortController();
  const second = new AbortController();
  const ask = (name: string, { signal }: AbortController) =>
    printer.dialogue(signal, async (lines, cancelled) => {
      await lines.question(name);
      return new Promise<null>((resolve) => cancelled.addEventListener("abort", () => resolve(null)));
    });
  const asked = [ask("first", first), ask("second", second), ask("third", new AbortController())];
  await setImmediate();
  expect(printed).toEqual(["first"]);
  second.abort();
  first.abort();
  await setImmediate();
  expect(printed).toEqual(["first", "third"]);
  await printer.end();
  expect(await Promise.all(asked)).toEqual([null, null, null]);
  expect(printed).toEqual(["first", "third", "end"]);
});

test("output that cannot be written after a question fails what is printed next", async () => {
  const { printer } = createPrinter(new CommandError("standard output cannot be written (ENOSPC)"));
  const answered = Promise.withResolvers<string>();
  const answer = printer.dialogue(never, () => answered.promise);
  await setImmediate();
  await printer.piece(textOf("reply"));
  answered.resolve("y");
  expect(await answer).toBe("y");
  await expect(printer.line("later")).rejects.toThrow("ENOSPC");
  await expect(printer.end()).rejects.toThrow("ENOSPC");
});
