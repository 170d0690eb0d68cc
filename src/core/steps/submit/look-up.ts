/**
 * Whether a batch exists at OpenAI, by paging through the list of its project: over as many invocations as that takes.
 *
 * A project may have hundreds of thousands of batches, and only the whole list proves that one of them is absent. So
 * the record keeps where the list is to be continued. New batches are listed first, which a continued pass does not
 * see; they do not matter, because a pass that must prove something begins only when no create can succeed any more.
 */

import type { OwnText } from '../../../contract/event-fields.ts';
import { ownText } from '../../base/own-text.ts';
import { isOurs, NONCE_KEY } from '../../lifecycle/ownership.ts';
import { advance, isPast } from '../../lifecycle/pages.ts';
import { CLOCK_SKEW_MS } from '../../lifecycle/time-limits.ts';
import type { BatchRecord, PagePosition } from '../../model/batch.ts';
import type { Deadline } from '../../ports/ambient.ts';
import type { BatchService, RemoteBatch } from '../../ports/provider.ts';
import type { ProviderRules } from '../../ports/provider-rules.ts';

/** What a pass over the list found. */
export type LookUp =
  | { kind: 'found'; remote: RemoteBatch }
  | { kind: 'absent' }
  /** The worker's time is over: the next one continues there. */
  | { kind: 'unfinished'; position: PagePosition }
  /** The service does not give its list to the end, so nothing is proven. `reason` is for the operator. */
  | { kind: 'unprovable'; reason: OwnText };

export interface LookUpDeps {
  stackId: string;
  batches: Pick<BatchService, 'listBatches'>;
  rules: Pick<ProviderRules, 'name' | 'ownership'>;
  deadline: Deadline;
}

type Attempt = NonNullable<BatchRecord['attempt']>;

/**
 * Matches by nonce, or by our own fresh file. Before the fence, a list that proves to be newest first is read until
 * well before the intent; after it, "absent" leads to a second create, so the list is read to its very end.
 * @throws whatever listing throws.
 */
export async function lookUp(deps: LookUpDeps, attempt: Attempt): Promise<LookUp> {
  const { nonce, inputFileId, fencedAt, keyVersion } = attempt;
  const { name, ownership } = deps.rules;
  if (ownership === 'none')
    return {
      kind: 'unprovable',
      reason: ownText`${name} keeps no mark on its batches, so ours cannot be recognized`,
    };
  const until = attempt.intentAt! - CLOCK_SKEW_MS;
  let position = attempt.lookUp;
  let previous = Number.POSITIVE_INFINITY;
  let isNewestFirst = true;
  for (;;) {
    const page = await deps.batches.listBatches(position?.after, keyVersion);
    for (const remote of page.batches) {
      const isMatch = isOurs(deps.stackId, remote) && remote.metadata[NONCE_KEY] === nonce;
      const isOfFile = inputFileId !== undefined && remote.inputFileId === inputFileId;
      if (isMatch || isOfFile) return { kind: 'found', remote };
      if (remote.createdAt > previous) isNewestFirst = false;
      previous = remote.createdAt;
    }
    // Newest first is practice, not promise: only a page that is old from end to end says that we are past it.
    if (fencedAt === undefined && isNewestFirst && isPast(page.batches, until)) return { kind: 'absent' };
    const pages = (position?.pages ?? 0) + 1;
    if (page.isCut) return { kind: 'unprovable', reason: listProblem(pages, 'has more but no cursor') };
    if (page.next === undefined) return { kind: 'absent' };
    position = advance(position, page.next);
    if (position === undefined)
      return {
        kind: 'unprovable',
        reason: listProblem(pages, `leads back to an earlier cursor, ${page.next}`),
      };
    if (deps.deadline.remainingMs() <= 0) return { kind: 'unfinished', position };
  }
}

const listProblem = (pages: number, found: string): OwnText =>
  ownText`the list of batches, page ${pages}: ${found}; expected a list that can be read to its end`;
