/** Preloaded with `node --import`: standard output looks like a terminal, so that a program prints what people see. */
import process from "node:process";

process.stdout.isTTY = true;
process.stdout.columns = Number(process.env.PRETEND_COLUMNS ?? 120);
