/** Opens resources one after the other, and closes them. If one cannot be opened, those opened before it are closed. */

/** Registers how a resource is closed if a later one cannot be opened, and returns the resource. */
export type Defer = <Resource>(resource: Resource, close: (resource: Resource) => unknown) => Resource;

/** Runs `open`. If it rejects, the resources that it has deferred are closed, the last one first, and this rejects with the same cause. */
export async function openInOrder<Opened>(open: (defer: Defer) => Promise<Opened>): Promise<Opened> {
  const closes: (() => unknown)[] = [];
  try {
    return await open((resource, close) => {
      closes.unshift(() => close(resource));
      return resource;
    });
  } catch (cause) {
    await closeInOrder(closes).catch(() => undefined);
    throw cause;
  }
}

/** Closes resources one after the other, even after one fails. Then it rejects with the first failure. */
export async function closeInOrder(closes: readonly (() => unknown)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const close of closes) {
    try {
      await close();
    } catch (cause) {
      failures.push(cause);
    }
  }
  if (failures.length > 0) throw failures[0];
}
