/** Declares a single module of undici: the whole package brings a `fetch`, WebSockets and caches, which nothing here uses. */
declare module "undici/lib/dispatcher/pool.js" {
  import { Pool } from "undici";

  export default Pool;
}
