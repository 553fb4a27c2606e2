/** Something that serves calls until another one takes its place. */
export interface Generation<Service> {
  readonly service: Service;
  /** Frees what this generation alone has opened. Called once, after its last call has ended. */
  close(): void;
}

/** The generation that serves new calls; earlier ones finish theirs. */
export interface Generations<Service> {
  /** Makes a call of the present generation. */
  call<Result>(use: (service: Service) => Promise<Result>): Promise<Result>;
  /** Puts another generation in the place of the present one, at once for new calls. */
  replace(next: Generation<Service>): void;
}

/** Creates {@link Generations}, which begin with one. A call that has begun ends with the generation it began with. */
export function createGenerations<Service>(first: Generation<Service>): Generations<Service> {
  let present = serve(first);
  return {
    call: (use) => present.call(use),
    replace(next) {
      const previous = present;
      present = serve(next);
      previous.retire();
    },
  };
}

function serve<Service>({ service, close }: Generation<Service>) {
  let calls = 0;
  let isRetired = false;
  const closeWhenIdle = (): void => {
    if (isRetired && calls === 0) close();
  };
  return {
    async call<Result>(use: (service: Service) => Promise<Result>): Promise<Result> {
      calls += 1;
      try {
        return await use(service);
      } finally {
        calls -= 1;
        closeWhenIdle();
      }
    },
    retire(): void {
      isRetired = true;
      closeWhenIdle();
    },
  };
}
