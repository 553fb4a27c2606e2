import type { WriteStream } from "node:tty";
import { CommandError } from "../command-error.ts";
import { exitCodes } from "../exit-code.ts";
import type { Output } from "../host.ts";

/** An output of the process. A reader that has gone away, as `head` does, is no failure. */
export function createOutput(stream: NodeJS.WriteStream | WriteStream, name: string): Output {
  let isOpen = true;
  // Without a listener an error of the stream would end the process with a stack.
  stream.on("error", () => {
    isOpen = false;
  });
  return {
    isTerminal: stream.isTTY === true,
    columns: () => (stream.isTTY === true && stream.columns > 0 ? stream.columns : null),
    write(text) {
      if (!isOpen) return Promise.resolve(false);
      return new Promise((resolve, reject) => {
        stream.write(text, (error) => {
          const code = error === null || error === undefined ? null : codeOf(error);
          if (code === null) return resolve(true);
          isOpen = false;
          if (code === "EPIPE" || code === "ERR_STREAM_DESTROYED") return resolve(false);
          reject(new CommandError(exitCodes.failed, `${name} cannot be written (${code})`));
        });
      });
    },
  };
}

function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}
