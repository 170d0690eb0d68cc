/** How a batch goes back to where it waits for its turn. */

/** What one attempt to create a batch at OpenAI leaves in its record. */
const NO_CREATE = {
  claim: undefined,
  claimedUntil: undefined,
  nonce: undefined,
  inputFileId: undefined,
  fileTries: undefined,
  keyVersion: undefined,
  intentAt: undefined,
  fencedAt: undefined,
  lookUp: undefined,
} as const;

/**
 * What is cleared when a batch waits again: everything that belongs to one attempt. The writer of this deletes the file at
 * OpenAI and settles the reservation, in that order after the write; what a crash leaves is found later.
 */
export const WAITING_AGAIN = {
  ...NO_CREATE,
  state: 'planned',
  reservation: undefined,
  sentAlone: undefined,
  openaiBatchId: undefined,
  submittedAt: undefined,
  status: undefined,
  statusAt: undefined,
  startedAt: undefined,
  expiresAt: undefined,
  unreachableSince: undefined,
  cancelRequestedAt: undefined,
  progress: undefined,
  outputFileId: undefined,
  errorFileId: undefined,
  fetched: undefined,
  lateResults: undefined,
  reportedUsage: undefined,
  errors: undefined,
  endedAt: undefined,
  goTo: undefined,
  lostAt: undefined,
} as const;

/** The same after a create that was refused, for a batch that keeps its reservation and goes again soon. */
export const ADMITTED_AGAIN = {
  ...NO_CREATE,
  state: 'admitted',
} as const;
