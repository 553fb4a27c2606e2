/**
 * A process for tests: `node reserve-in-process.ts PATH` reserves ids in a SQLite file and settles every second one, sixteen at once,
 * until it is killed. It prints each id after the store has confirmed it.
 */
import process from "node:process";
import { openSqlite, systemClock } from "@letta-environments/platform/node";
import { openSendStore } from "./open-send-store.ts";
import { testReservation, testResult } from "./test-reservation.ts";

const store = openSendStore(openSqlite(process.argv[2] ?? ""), systemClock);
let count = 0;

async function reserveForever(): Promise<never> {
  for (;;) {
    const number = count++;
    const reservation = testReservation([`${number}`], { sendId: `send-${number}`, leaseMs: 3_600_000 });
    await store.reserve(reservation);
    process.stdout.write(`reserved ${number}\n`);
    if (number % 2 === 1) continue;
    await store.settle(reservation, testResult(`${number}`));
    process.stdout.write(`settled ${number}\n`);
  }
}

await Promise.all(Array.from({ length: 16 }, reserveForever));
