import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { PARTITIONS, TABLE_PARTITION_KEY } from '../../contract/table.ts';
import { defined } from '../../core/base/defined.ts';
import { toTurn } from '../../core/lifecycle/job-transitions.ts';
import type { DropTally } from '../../core/model/drop-turn.ts';
import type { Job } from '../../core/model/job.ts';
import { changesOf } from '../../core/model/transition.ts';
import type { DropTurnStore } from '../../core/ports/drops.ts';
import { dropTurnOf, type TurnVerdict, withoutWaiting } from '../../core/scheduling/drop-turns.ts';
import { DynamoDBItems, type Item, indexAttributes, type Key } from './items.ts';
import { mayTakeTurn } from './job-rules.ts';
import { jobKey } from './jobs.ts';
import { liveEntryOfJob, liveOfWaitingDrops } from './live-index.ts';
import { readDropTally, readJob } from './record-schemas.ts';

/** All together: they are read in one query, and are as many as routes with limits. */
const PARTITION = PARTITIONS.drops;
const tallyKey = (route: string): Key => ({ pk: PARTITION, sk: `ROUTE#${route}` });

/** {@link DropTurnStore} on the table: a job and the tally of its route change in one transaction. */
export class DynamoDBDropTurns implements DropTurnStore {
  readonly #items: DynamoDBItems;

  /** @param client must leave out `undefined` values (`marshallOptions.removeUndefinedValues`). */
  constructor(client: DynamoDBDocumentClient, names: { table: string }) {
    this.#items = new DynamoDBItems(client, names);
  }

  async takeDropTurn(
    of: Parameters<DropTurnStore['takeDropTurn']>[0],
    now: number,
  ): Promise<Job | undefined> {
    const keys = { job: jobKey(of.jobId), tally: tallyKey(of.route) };
    // While many wait, their tally stays as it is, and they do not contend for it.
    const tally = this.#readTally(await this.#items.get(keys.tally));
    let written: Job | undefined;
    let needsTally = false;
    await this.#items.change(keys.job, (item) => {
      written = undefined;
      const decided = this.#decide(item, tally, of, now);
      needsTally = decided?.verdict.tally !== undefined;
      if (decided === undefined || needsTally) return undefined;
      written = decided.job;
      return decided.changes;
    });
    if (!needsTally) return written;
    await this.#items.changeAll([keys.job, keys.tally], ([jobItem, tallyItem]) => {
      written = undefined;
      const decided = this.#decide(jobItem, this.#readTally(tallyItem), of, now);
      if (decided === undefined) return undefined;
      written = decided.job;
      return [decided.changes, { waitedAt: undefined, ...decided.verdict.tally }];
    });
    return written;
  }

  async listDropRoutes(): Promise<string[]> {
    const routes: string[] = [];
    const items = this.#items.query({
      KeyConditionExpression: '#pk = :pk',
      ExpressionAttributeNames: { '#pk': TABLE_PARTITION_KEY },
      ExpressionAttributeValues: { ':pk': PARTITION },
    });
    for await (const item of items) routes.push(readDropTally(item, this.#items.nameOf(item)).route);
    return routes;
  }

  async *listWaitingDrops(route: string): AsyncGenerator<Job> {
    yield* this.#items.live(liveOfWaitingDrops(route), (item) => readJob(item, this.#items.nameOf(item)));
  }

  async noteNoneWaits(route: string, listedAt: number): Promise<void> {
    await this.#items.change(tallyKey(route), (item) => {
      const tally = withoutWaiting(this.#readTally(item), listedAt);
      return tally === undefined ? undefined : { ...tally, waitedAt: undefined };
    });
  }

  /** @returns `undefined` if the job is not this caller's to write. */
  #decide(
    item: Item | undefined,
    tally: DropTally | undefined,
    { route, limits, holder }: Parameters<DropTurnStore['takeDropTurn']>[0],
    now: number,
  ): { verdict: TurnVerdict; job: Job; changes: Item } | undefined {
    const job = item === undefined ? undefined : readJob(item, this.#items.nameOf(item));
    if (job === undefined || !mayTakeTurn(job, holder, now)) return undefined;
    const isFirst = holder === undefined;
    const verdict = dropTurnOf(route, tally, job.turn, { limits, isFirst, now });
    const changed = { ...changesOf(item!, toTurn(job, verdict.turn)), updatedAt: now };
    const after = defined({ ...job, ...changed }) as Job;
    return { verdict, job: after, changes: { ...changed, ...indexAttributes(liveEntryOfJob(after)) } };
  }

  #readTally(item: Item | undefined): DropTally | undefined {
    return item === undefined ? undefined : readDropTally(item, this.#items.nameOf(item));
  }
}
