/** Opens resources one after the other. If one cannot be opened, those before it are closed. */

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
    for (const close of closes) await close();
    throw cause;
  }
}
