import process from "node:process";

/** Whether somebody started the process in a terminal, whose end sends SIGHUP. */
export function isInTerminal(): boolean {
  return process.stdin.isTTY === true;
}
