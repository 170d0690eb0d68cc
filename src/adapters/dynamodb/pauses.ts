import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { PARTITIONS, TABLE_PARTITION_KEY } from '../../contract/table.ts';
import type { Pause } from '../../core/model/pause.ts';
import type { PauseStore } from '../../core/ports/pauses.ts';
import { DynamoDBItems, type Key } from './items.ts';
import { readPause } from './record-schemas.ts';

/** All together: they are read in one query, and are few. */
const PARTITION = PARTITIONS.pauses;
const pauseKey = ({ route }: Pick<Pause, 'route'>): Key => ({
  pk: PARTITION,
  sk: route === undefined ? 'PAUSE' : `PAUSE#${route}`,
});

/** {@link PauseStore} on the table. A pause that has ended stays, so that one can see who ended it. */
export class DynamoDBPauses implements PauseStore {
  readonly #items: DynamoDBItems;

  /** @param client must leave out `undefined` values (`marshallOptions.removeUndefinedValues`). */
  constructor(client: DynamoDBDocumentClient, names: { table: string }) {
    this.#items = new DynamoDBItems(client, names);
  }

  async getPauses(): Promise<Pause[]> {
    const pauses: Pause[] = [];
    const items = this.#items.query({
      KeyConditionExpression: '#pk = :pk',
      ExpressionAttributeNames: { '#pk': TABLE_PARTITION_KEY },
      ExpressionAttributeValues: { ':pk': PARTITION },
      ConsistentRead: true,
    });
    for await (const item of items) {
      const pause = readPause(item, this.#items.nameOf(item));
      if (pause.isPaused) pauses.push(pause);
    }
    return pauses;
  }

  async pause(begin: Omit<Pause, 'isPaused'>): Promise<{ pause: Pause; isNew: boolean }> {
    let inForce: Pause | undefined;
    const item = await this.#items.change(pauseKey(begin), (current) => {
      const before = current === undefined ? undefined : readPause(current, this.#items.nameOf(current));
      inForce = before?.isPaused ? before : undefined;
      return inForce === undefined ? { reason: undefined, ...begin, isPaused: true } : undefined;
    });
    if (item === undefined) return { pause: inForce!, isNew: false };
    return { pause: { ...begin, isPaused: true }, isNew: true };
  }

  async unpause(end: Omit<Pause, 'isPaused'>): Promise<boolean> {
    const item = await this.#items.change(pauseKey(end), (current) =>
      current?.isPaused === true ? { reason: undefined, ...end, isPaused: false } : undefined,
    );
    return item !== undefined;
  }
}
