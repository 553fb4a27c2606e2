import { SqliteLockedError } from "@letta-environments/platform";
import { expect, test } from "vitest";
import { KeyStoreUnavailableError } from "../../../keys/key-store-outages.ts";
import { describeFailure } from "./run.ts";

test.each([
  [
    new SqliteLockedError("another process keeps it locked", { cause: new Error("database is locked") }),
    "database is locked",
  ],
  [new Error("connect ECONNREFUSED 127.0.0.1:6379"), "connect ECONNREFUSED 127.0.0.1:6379"],
])("a key store that cannot be changed is reported with the cause, in Valkey and in a file: %s", (cause, reason) => {
  expect(describeFailure(new KeyStoreUnavailableError({ cause }))).toMatchObject({
    message: `the key store did not respond: ${reason}; 'letta-proxy keys list' shows whether the change was made`,
    exitCode: 1,
  });
});

test("a change of a key that the server refused is reported as not made, with the reason", () => {
  const cause = new Error("OOM command not allowed when used memory > 'maxmemory'.");
  expect(describeFailure(new KeyStoreUnavailableError({ cause, isRefused: true }))).toMatchObject({
    message: `the key store refused the change: ${cause.message}`,
    exitCode: 1,
  });
});

test("a key file that SQLite cannot use is reported as a data directory that cannot be used", () => {
  const cause = Object.assign(new Error("database disk image is malformed"), { code: "ERR_SQLITE_ERROR" });
  expect(describeFailure(new KeyStoreUnavailableError({ cause }))).toMatchObject({
    message: "the data directory cannot be used: database disk image is malformed",
    exitCode: 1,
  });
});
