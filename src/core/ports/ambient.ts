/** Time and chance, which only come in as arguments. */

/** The only source of time and chance. */
export interface Ambient {
  /** Epoch milliseconds. */
  now(): number;
  /** A fresh unique id: 128 random bits, hex. */
  nonce(): string;
}

/**
 * Lets `ms` pass, or less if `signal` is aborted. As a step's `heartbeat` it times the renewals of a lease beside the
 * step's work; as its `sleep`, the work itself waits.
 */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>;

/** How long the worker that a step runs in still lives. */
export interface Deadline {
  /** Milliseconds until it is ended, whatever it does. */
  remainingMs(): number;
}
