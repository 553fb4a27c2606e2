/** Runs before each test file: a started gateway gets its keys from the process of the test. Tests of `keys create` itself run the command. */
import { makeKeysWith } from "@letta-environments/testkit";

makeKeysWith(async (options) => (await import("./local-keys.ts")).createLocalKey(options));
