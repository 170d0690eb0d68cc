/** How a batch goes back to where it waits for its turn. */

/**
 * What is left behind when a batch waits again: everything that belongs to one attempt. Its file at OpenAI is deleted and
 * its reservation settled by whoever writes this, in that order after the write; what a crash leaves is found later.
 */
export const WAITING_AGAIN = {
  state: 'planned',
  reservation: undefined,
  claim: undefined,
  claimedUntil: undefined,
  nonce: undefined,
  inputFileId: undefined,
  keyVersion: undefined,
  intentAt: undefined,
  fencedAt: undefined,
  openaiBatchId: undefined,
  submittedAt: undefined,
  status: undefined,
  statusAt: undefined,
  expiresAt: undefined,
  unreachableSince: undefined,
  cancelRequestedAt: undefined,
  progress: undefined,
  outputFileId: undefined,
  errorFileId: undefined,
  errors: undefined,
  endedAt: undefined,
  goTo: undefined,
  lostAt: undefined,
} as const;
