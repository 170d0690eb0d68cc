/** Which transitions of a batch there are, from where each may begin, and what each forgets. */
import { type BatchGroup, type BatchState, GROUP_LIFETIMES } from '../model/batch.ts';
import type { TransitionRule } from './transition.ts';

/** All that one attempt has left: what a batch forgets that waits for its turn again. */
const ATTEMPT = (Object.keys(GROUP_LIFETIMES) as BatchGroup[]).filter(
  (group) => GROUP_LIFETIMES[group] === 'attempt',
);
/** What a step that has succeeded forgets, besides the lease. */
const TROUBLE = ['wait', 'hold'] as const;
const RELEASED = ['lease'] as const;
const LEASABLE = ['planned', 'admitted', 'uploaded', 'submitting', 'ended'] as const;

/** Every transition of a batch. `admitted` is taken in one transaction with the reservation: see `QuotaStore.admit`. */
export const BATCH_TRANSITIONS = {
  admitted: { from: ['planned'], to: 'admitted', clear: ['hold'] },
  uploaded: { from: ['admitted'], to: 'uploaded', clear: TROUBLE },
  submitting: {
    from: ['uploaded'],
    afterRestore: ['admitted', 'submitting'],
    to: 'submitting',
  },
  submitted: {
    from: ['submitting'],
    afterRestore: ['planned', 'admitted', 'uploaded'],
    to: 'submitted',
    clear: [...RELEASED, ...TROUBLE],
  },
  // Of a refused or unanswered create nothing was made.
  sameFileAgain: { from: ['submitting'], to: 'uploaded', clear: [...RELEASED, 'hold'] },
  newFileAgain: { from: ['submitting'], to: 'admitted', clear: ['attempt', 'hold'] },
  newFileLater: { from: ['submitting'], to: 'admitted', clear: [...RELEASED, 'attempt', ...TROUBLE] },
  waiting: {
    from: ['admitted', 'submitting', 'ended'],
    to: 'planned',
    clear: [...RELEASED, ...ATTEMPT, ...TROUBLE],
  },
  ended: { from: ['submitted'], to: 'ended', clear: [...RELEASED, ...TROUBLE] },
  withdrawn: {
    from: ['planned', 'admitted', 'uploaded'],
    to: 'ended',
    clear: [...RELEASED, ...TROUBLE],
  },
  called: { from: ['admitted'], to: 'ended', clear: [...RELEASED, ...TROUBLE] },
  lost: { from: ['submitted'], to: 'ended', clear: [...RELEASED, ...TROUBLE] },
  unknownGivenUp: { from: ['submitting'], to: 'ended', clear: [...RELEASED, ...TROUBLE], isSeldom: true },
  collected: {
    from: ['ended'],
    afterRestore: ['admitted', 'uploaded', 'submitting'],
    to: 'collected',
    clear: [...RELEASED, ...TROUBLE],
  },
  // What follows leaves a batch in its state.
  released: { from: LEASABLE, clear: RELEASED },
  postponed: { from: LEASABLE, clear: RELEASED },
  reasonRecorded: { from: ['planned', 'submitted'] },
  resumed: { from: ['planned'], clear: ['hold'] },
  tierChanged: { from: ['planned'] },
  inputUnreadable: { from: ['admitted'] },
  calling: { from: ['admitted'] },
  // Its lease, should a worker have it by now, stays.
  hurried: { from: ['admitted'] },
  callsPaused: { from: ['admitted'], clear: [...RELEASED, 'wait'] },
  fenced: { from: ['submitting'] },
  lookUpContinued: { from: ['submitting'], clear: RELEASED },
  unknown: { from: ['submitting'], clear: RELEASED },
  keyReplaced: { from: ['submitting'] },
  stopping: { from: ['submitting', 'submitted'] },
  seen: { from: ['submitted'], clear: ['hold'] },
  unreachable: { from: ['submitted'] },
  fetching: { from: ['ended'] },
  fetched: { from: ['ended'] },
  resultsLate: { from: ['ended'] },
  withoutFiles: { from: ['ended'], clear: [...RELEASED, 'download'] },
  tooLarge: { from: ['ended'] },
} as const satisfies Record<string, TransitionRule<BatchState, BatchGroup>>;

/** The name of a transition of a batch. */
export type BatchTransitionName = keyof typeof BATCH_TRANSITIONS;
