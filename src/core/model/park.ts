/** A scope of batches that is suspended until a person has acted. */

/** How it shows that what was wrong is over: OpenAI took a batch, or answered requests of one. */
export type ParkProof = 'created' | 'collected';

/** Something that only a person can mend (key, billing, access to a model): batches of the scope wait, unharmed. */
export interface Park {
  v: 1;
  /** A key scope, or a key scope and a model: see `admission/scopes.ts`. */
  scope: string;
  isParked: boolean;
  /** OpenAI's code, or ours. */
  reason: string;
  provenBy: ParkProof;
  parkedAt: number;
  /** Batches sent to see whether it is over, and when the next one may go. */
  probes: number;
  probeAt: number;
  updatedAt: number;
}
