export { createSqliteEnvironmentStore } from "./sqlite/create-sqlite-environment-store.ts";
