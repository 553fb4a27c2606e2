export { connectValkey, type ValkeyOptions } from "./connect-valkey.ts";
