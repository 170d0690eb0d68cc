import { isApiKeyError } from '../../base/errors.ts';
import { apiKeyOf, type BatchRecord } from '../../model/batch.ts';
import type { BackgroundApi, BackgroundResponse } from '../../ports/provider.ts';
import type { Cancelling } from './background-plan.ts';
import type { CreatedResponses, KnownCreated } from './created.ts';
import type { CallDeps } from './deps.ts';
import { takeIfEnded } from './ended.ts';
import type { SliceProgress } from './progress.ts';
import { GONE, NOT_STOPPED, noAnswer, STATUS_UNKNOWN } from './unanswered.ts';
import type { UnreadResponses } from './unread.ts';

/** Looks, cancels or deletions at a time. */
const AT_A_TIME = 32;

/** What is to be done with a response that has not ended. */
export interface Wish {
  cancel: Cancelling;
  /** It is waited for no longer if OpenAI does not know it. */
  isGone: boolean;
  /** It is waited for no longer if it can be neither read nor cancelled, or nobody knows what its status means. */
  isBeyondReach: boolean;
  /** That has been so for long: also what is read, and means nothing, is given up if its cancel fails. */
  isCancelOverdue: boolean;
  /** It is waited for no longer if it goes on although it is cancelled. */
  isUnstoppable: boolean;
}

/** Looks at responses in the background, cancels and deletes them. */
export class BackgroundLooks {
  readonly #deps: Pick<CallDeps, 'rules' | 'ambient' | 'telemetry'>;
  readonly #api: BackgroundApi;
  readonly #batch: BatchRecord;
  readonly #progress: SliceProgress;
  readonly #created: CreatedResponses;
  readonly #unread: UnreadResponses;
  readonly #hasTime: () => boolean;
  /** The first reason why a look or a cancel failed. */
  failure: unknown;
  /** The first response that a look found at its end. */
  firstEnded: KnownCreated | undefined;

  /** @param hasTime whether the worker may begin another round. */
  constructor(
    deps: Pick<CallDeps, 'background' | 'rules' | 'ambient' | 'telemetry'>,
    batch: BatchRecord,
    progress: SliceProgress,
    { created, unread }: { created: CreatedResponses; unread: UnreadResponses },
    hasTime: () => boolean,
  ) {
    this.#deps = deps;
    this.#api = deps.background.withKey(apiKeyOf(batch));
    this.#batch = batch;
    this.#progress = progress;
    this.#created = created;
    this.#unread = unread;
    this.#hasTime = hasTime;
  }

  /**
   * Reads responses and takes the answers of those that have ended.
   * @returns whether there was time for all of them.
   */
  async look(due: readonly KnownCreated[], wishFor: (created: KnownCreated) => Wish): Promise<boolean> {
    return this.#inRounds(due, async (round) => {
      const looks = await Promise.all(
        round.map(async (created) => ({
          created,
          wish: wishFor(created),
          response: await this.#ask(created, wishFor(created), ({ get }) => get),
        })),
      );
      const leaving = looks.flatMap(({ created, wish, response }): KnownCreated[] => {
        if (response === undefined) return [];
        if (takeIfEnded(this.#progress, created, response)) {
          this.firstEnded ??= created;
          return [];
        }
        const state = response.status === 'queued' ? 'queued' : 'in_progress';
        const isCancelled =
          wish.cancel === 'always' ||
          (wish.cancel === 'queued' && state === 'queued') ||
          isHopeless(wish, response);
        // An earlier cancel, sent while it was queued, may come to it only now.
        const hasBegunSince = created.leaving === 'queued' && state === 'in_progress';
        if (hasBegunSince && !isCancelled) this.#created.add({ ...created, leaving: state });
        return isCancelled ? [{ ...created, leaving: state }] : [];
      });
      const strange = new Set(
        looks.flatMap(({ created, response }) => (response?.isStatusKnown === false ? created.id : [])),
      );
      // How far each was says whether it may be charged: the next worker must know, should this one die.
      for (const created of leaving) this.#created.add(created);
      await this.#created.keep();
      await Promise.all(
        leaving.map(async (created) => {
          const wish = wishFor(created);
          const isBeyondReach = strange.has(created.id) ? wish.isCancelOverdue : wish.isBeyondReach;
          const reply = await this.#ask(created, { ...wish, isBeyondReach }, ({ cancel }) => cancel);
          if (reply === undefined || takeIfEnded(this.#progress, created, reply)) return;
          if (isHopeless(wish, reply)) this.#progress.addUnanswered(created.request, STATUS_UNKNOWN);
          else if (wish.isUnstoppable) this.#progress.addUnanswered(created.request, NOT_STOPPED);
        }),
      );
      if (this.#progress.isToBeKept) await this.#progress.keepForNext();
    });
  }

  /** Deletes responses at OpenAI, of which nothing is needed any more. What is not deleted is reported. */
  async remove(responses: readonly KnownCreated[]): Promise<void> {
    let kept = responses.length;
    await this.#inRounds(responses, async (round) => {
      const results = await Promise.allSettled(
        round.map(({ id, keyVersion }) => this.#api.remove(id, keyVersion)),
      );
      kept -= results.filter(({ status }) => status === 'fulfilled').length;
    });
    const { jobId, batchId } = this.#batch;
    if (kept > 0) this.#deps.telemetry.record('responses.retained', { jobId, batchId, responses: kept });
  }

  /** `undefined`: nothing is known, or it is given up, so that its request has a line. */
  async #ask(
    created: KnownCreated,
    { isGone, isBeyondReach }: Wish,
    methodOf: (api: BackgroundApi) => BackgroundApi['get'] | BackgroundApi['cancel'],
  ): Promise<BackgroundResponse | undefined> {
    const { request, id, keyVersion } = created;
    const { ambient } = this.#deps;
    try {
      const response = await methodOf(this.#api).call(this.#api, id, keyVersion);
      // What says nothing that is understood is waited for no longer than what says nothing.
      if (response?.isStatusKnown === false) this.#unread.notUnderstood(id, ambient.now());
      else if (response !== undefined) this.#unread.found(id);
      else if (isGone) this.#progress.addUnanswered(request, GONE);
      else this.#unread.missing(id, ambient.now());
      return response;
    } catch (error) {
      // Without the key it is unknown what can be read.
      const isOfKey = isApiKeyError(error);
      if (!isOfKey && isBeyondReach) this.#progress.addUnanswered(request, noAnswer(this.#deps.rules.errors));
      else {
        this.failure ??= error;
        if (!isOfKey) this.#unread.unreadable(id, ambient.now());
      }
      return undefined;
    }
  }

  async #inRounds<Item>(
    items: readonly Item[],
    step: (round: readonly Item[]) => Promise<void>,
  ): Promise<boolean> {
    for (let at = 0; at < items.length; at += AT_A_TIME) {
      if (!this.#hasTime()) return false;
      await step(items.slice(at, at + AT_A_TIME));
    }
    return true;
  }
}

/** Whether its status is a word that is not known, and was so for as long as it is waited for. */
function isHopeless({ isBeyondReach }: Wish, { isStatusKnown }: BackgroundResponse): boolean {
  return isBeyondReach && !isStatusKnown;
}
