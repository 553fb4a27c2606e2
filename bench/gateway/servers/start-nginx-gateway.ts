import { freePort } from "../../harness/first-answer.ts";
import { startNginx } from "../../harness/start-nginx.ts";
import { isUncached } from "../loads.ts";
import { gatewayCore } from "../run-load.ts";
import type { RunningSystem } from "../system.ts";

const key = "bench";

/**
 * Starts nginx as a gateway: keys in a map, `limit_req` for each key, an access log, and `proxy_cache`. At a second port it passes requests on
 * without a cache, since storing a miss would write a file.
 */
export async function startNginxGateway(command: string, origin: string): Promise<RunningSystem> {
  const [cached, passThrough] = [await freePort(), await freePort()];
  const location = `if ($key_name = "") { return 401; }
    limit_req zone=keys burst=100000 nodelay;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Authorization "Bearer upstream";`;
  const nginx = await startNginx(command, gatewayCore, {
    http: `  log_format json escape=json '{"time":"$time_iso8601","method":"$request_method","url":"$uri","status":$status,"s":$request_time,"key":"$key_name"}';
  access_log /dev/null json buffer=64k;
  map $http_authorization $key_name { default ""; "Bearer ${key}" "bench-key"; }
  limit_req_zone $key_name zone=keys:10m rate=1000000r/s;
  proxy_cache_path cache keys_zone=responses:16m max_size=256m;
  upstream origin { server ${new URL(origin).host}; keepalive 128; }
  server { listen 127.0.0.1:${cached}; location / { ${location}
    proxy_pass http://origin; proxy_cache responses; proxy_cache_valid 200 600s; proxy_cache_key $uri$is_args$args; } }
  server { listen 127.0.0.1:${passThrough}; location / { ${location}
    proxy_pass http://origin; } }`,
    probe: { port: cached, path: "/", status: 401 },
  });
  return { ...nginx, helpers: [], key, portOf: (load) => (isUncached(load) ? passThrough : cached) };
}
