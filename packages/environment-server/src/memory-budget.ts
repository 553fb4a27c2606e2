/**
 * Divides memory among owners, such as the keys of devices. Each account belongs to one owner. When an owner or all owners together
 * have too many bytes, accounts are released until the rest fits: the largest of one owner, and those that nobody would miss
 * first. Another owner's accounts are only touched when the memory of all is exhausted by owners with more than their share.
 */

/** Limits in bytes, for one owner and for all owners together. */
export interface MemoryLimits {
  readonly maxOwnerBytes: number;
  readonly maxTotalBytes: number;
}

/** The bytes of one holder. */
export interface MemoryAccount {
  readonly bytes: number;
  /** Sets the number of bytes, and releases accounts when a limit is exceeded. This account may be one of them. */
  resize(bytes: number): void;
  /** Marks it as one that is released before the others of its owner. */
  markExpendable(isExpendable: boolean): void;
  /** Gives all bytes back. Later calls have no effect. */
  close(): void;
}

/** Which limit an account was released for. */
export type MemoryLimit = "owner" | "total";

/** See the description of this file. */
export interface MemoryBudget {
  /** Opens an account. `release` is called once, after the account was closed, when its holder has to free the memory. */
  open(owner: string, release: (limit: MemoryLimit) => void): MemoryAccount;
  /** Bytes of all accounts. */
  readonly totalBytes: number;
}

interface Account extends MemoryAccount {
  bytes: number;
  isExpendable: boolean;
  readonly release: (limit: MemoryLimit) => void;
}

interface Owner {
  bytes: number;
  readonly accounts: Set<Account>;
}

/** Creates a {@link MemoryBudget}. */
export function createMemoryBudget({ maxOwnerBytes, maxTotalBytes }: MemoryLimits): MemoryBudget {
  const owners = new Map<string, Owner>();
  let totalBytes = 0;

  function change(owner: Owner, account: Account, bytes: number): void {
    totalBytes += bytes - account.bytes;
    owner.bytes += bytes - account.bytes;
    account.bytes = bytes;
  }

  function close(name: string, owner: Owner, account: Account): void {
    if (!owner.accounts.delete(account)) return;
    change(owner, account, 0);
    if (owner.accounts.size === 0) owners.delete(name);
  }

  function release(name: string, owner: Owner, limit: MemoryLimit): void {
    const account = findLargest(owner.accounts);
    if (account === null) return;
    close(name, owner, account);
    account.release(limit);
  }

  /** The owner that resized an account pays if it has more than its share, else the one with the most. */
  function findPayer(name: string, owner: Owner): readonly [string, Owner] {
    if (owner.bytes > maxTotalBytes / owners.size) return [name, owner];
    return [...owners].reduce((left, right) => (left[1].bytes >= right[1].bytes ? left : right), [name, owner]);
  }

  function enforce(name: string, owner: Owner): void {
    while (owner.bytes > maxOwnerBytes) release(name, owner, "owner");
    while (totalBytes > maxTotalBytes) release(...findPayer(name, owner), "total");
  }

  return {
    open(name, onRelease) {
      const owner = owners.get(name) ?? { bytes: 0, accounts: new Set<Account>() };
      owners.set(name, owner);
      const account: Account = {
        bytes: 0,
        isExpendable: false,
        release: onRelease,
        resize(bytes) {
          if (!owner.accounts.has(account)) return;
          const isMore = bytes > account.bytes;
          change(owner, account, bytes);
          if (isMore) enforce(name, owner);
        },
        markExpendable(isExpendable) {
          account.isExpendable = isExpendable;
        },
        close: () => close(name, owner, account),
      };
      owner.accounts.add(account);
      return account;
    },
    get totalBytes() {
      return totalBytes;
    },
  };
}

/** Returns the largest expendable account with bytes, else the largest one; `null` when all are empty. */
function findLargest(accounts: ReadonlySet<Account>): Account | null {
  let largest: Account | null = null;
  for (const account of accounts) {
    if (account.bytes === 0) continue;
    if (largest === null || comparePriority(account, largest) > 0) largest = account;
  }
  return largest;
}

function comparePriority(left: Account, right: Account): number {
  return Number(left.isExpendable) - Number(right.isExpendable) || left.bytes - right.bytes;
}
