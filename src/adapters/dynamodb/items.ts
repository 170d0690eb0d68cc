/**
 * Items of the table, changed one way only: read (or take what was last seen of the item), let a rule decide, write
 * under the condition that the revision (`rev`) is unchanged, and begin again with a consistent read if it is not.
 * So the sparse index attributes always follow from the whole record, and attributes that a later deployment added
 * stay. Each write carries an id of its own (`write`): when the answer was lost and the SDK sends the write again,
 * the condition fails on our own write, which the id shows.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import {
  ConditionalCheckFailedException,
  TransactionCanceledException,
  TransactionConflictException,
} from '@aws-sdk/client-dynamodb';
import {
  type DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  type QueryCommandInput,
  TransactWriteCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb';
import {
  LIVE_INDEX,
  LIVE_INDEX_PARTITION_KEY,
  LIVE_INDEX_SORT_KEY,
  TABLE_PARTITION_KEY,
  TABLE_SORT_KEY,
} from '../../contract/table.ts';
import { BatchdropError } from '../../core/base/errors.ts';
import type { LiveEntry } from './live-index.ts';
import { type SeenItems, seenThrough } from './seen-items.ts';

export type Item = Record<string, unknown>;
export type Key = { [TABLE_PARTITION_KEY]: string; [TABLE_SORT_KEY]: string };

/** What another item must not have, so that a new one may be written: its partition key, if there must be no such item. */
export interface ItemCheck {
  key: Key;
  without: string;
}

/** Attributes beside those of the record. */
const REVISION = 'rev';
const WRITE_ID = 'write';

const itemDoesNotExist = `attribute_not_exists(#${TABLE_PARTITION_KEY})`;
const itemIsAsRead = `#${REVISION} = :${REVISION}`;

/** Each lost race means that another worker wrote; so many in a row mean that something is wrong. */
const MAX_LOST_RACES = 50;
/** From this race on, a writer steps back for a moment, so that a row that many want (a ledger) is not fought over. */
const PATIENT_RACES = 3;
const MAX_STEP_BACK_MS = 40;

/** Why a transaction may be cancelled without anything being wrong. */
const RACE_CODES: ReadonlySet<string | undefined> = new Set([
  'None',
  'ConditionalCheckFailed',
  'TransactionConflict',
]);

export class DynamoDBItems {
  readonly #client: DynamoDBDocumentClient;
  readonly #table: string;
  readonly #seen: SeenItems;

  /** @param client must leave out `undefined` values (`marshallOptions.removeUndefinedValues`). */
  constructor(client: DynamoDBDocumentClient, names: { table: string }) {
    this.#client = client;
    this.#table = names.table;
    this.#seen = seenThrough(client, names.table);
  }

  /** Consistent. */
  async get(key: Key): Promise<Item | undefined> {
    const { Item } = await this.#client.send(
      new GetCommand({ TableName: this.#table, Key: key, ConsistentRead: true }),
    );
    this.#seen.note(key, Item);
    return Item;
  }

  /** The item as it was last seen, or else as it is. For a rule whose result a later write checks. */
  async getSeen(key: Key): Promise<Item | undefined> {
    const seen = this.#seen.find(key);
    return seen === undefined ? this.get(key) : seen.item;
  }

  /** Says that an item is most likely not there yet, so that the first write begins with that. */
  expectNone(key: Key): void {
    if (this.#seen.find(key) === undefined) this.#seen.note(key, undefined);
  }

  /** Writes a new item; returns the current one if there is one already. */
  async insert(key: Key, record: object, live: LiveEntry): Promise<Item | undefined> {
    const writeId = randomUUID();
    const item = { ...key, ...record, ...live, [REVISION]: 1, [WRITE_ID]: writeId };
    try {
      await this.#client.send(
        new PutCommand({
          TableName: this.#table,
          Item: item,
          ConditionExpression: itemDoesNotExist,
          ExpressionAttributeNames: { [`#${TABLE_PARTITION_KEY}`]: TABLE_PARTITION_KEY },
        }),
      );
      this.#seen.note(key, item);
      return undefined;
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error;
    }
    const current = await this.get(key);
    if (current === undefined) {
      throw new BatchdropError(
        `${this.nameOf(key)} was there a moment ago and is missing now: items must not be deleted`,
      );
    }
    return current[WRITE_ID] === writeId ? undefined : current;
  }

  /**
   * Writes a new item, in one step with the proof that other items are as they must be.
   * @returns the current item if there is one already, `refused` if one of the others is not as it must be.
   */
  async insertIf(
    key: Key,
    record: object,
    live: LiveEntry,
    checks: readonly ItemCheck[],
  ): Promise<Item | 'written' | 'refused'> {
    const writeId = randomUUID();
    const item = { ...key, ...record, ...live, [REVISION]: 1, [WRITE_ID]: writeId };
    const absent = (attribute: string) => ({
      ConditionExpression: `attribute_not_exists(#${attribute})`,
      ExpressionAttributeNames: { [`#${attribute}`]: attribute },
    });
    for (let race = 0; race < MAX_LOST_RACES; race += 1) {
      await stepBack(race);
      try {
        await this.#client.send(
          new TransactWriteCommand({
            TransactItems: [
              { Put: { TableName: this.#table, Item: item, ...absent(TABLE_PARTITION_KEY) } },
              ...checks.map((check) => ({
                ConditionCheck: { TableName: this.#table, Key: check.key, ...absent(check.without) },
              })),
            ],
          }),
        );
        this.#seen.note(key, item);
        return 'written';
      } catch (error) {
        if (!isLostRace(error)) throw error;
        const current = await this.get(key);
        if (current !== undefined) return current[WRITE_ID] === writeId ? 'written' : current;
        // The first reason is the item's own: it was there, and went with its job.
        const [, ...reasons] = (error as TransactionCanceledException).CancellationReasons ?? [];
        if (reasons.some(({ Code }) => Code === 'ConditionalCheckFailed')) return 'refused';
      }
    }
    throw this.#tooManyRaces([key]);
  }

  /**
   * Changes an item in one step. `decide` gets the current item and returns the attributes to set (`undefined`
   * removes one), or `undefined` to leave it; it is asked again when another worker wrote in between.
   * @returns the item as written, or `undefined` if it was left.
   */
  async change(key: Key, decide: (current: Item | undefined) => Item | undefined): Promise<Item | undefined> {
    for (let race = 0; race < MAX_LOST_RACES; race += 1) {
      await stepBack(race);
      const seen = race === 0 ? this.#seen.find(key) : undefined;
      const current = seen === undefined ? await this.get(key) : seen.item;
      const changes = decide(current);
      // What was seen may be old: only what is there now says that nothing is to be written.
      if (changes === undefined && seen !== undefined) continue;
      if (changes === undefined) return undefined;
      const writeId = randomUUID();
      try {
        const { Attributes } = await this.#client.send(
          new UpdateCommand({ ...this.#updateOf(key, current, changes, writeId), ReturnValues: 'ALL_NEW' }),
        );
        this.#seen.note(key, Attributes);
        return Attributes;
      } catch (error) {
        this.#seen.forget(key);
        if (!isLostRace(error)) throw error;
        const winner = await this.get(key);
        if (winner?.[WRITE_ID] === writeId) return winner;
      }
    }
    throw this.#tooManyRaces([key]);
  }

  /**
   * Changes several items, all or none. `decide` gets the current ones, in the order of `keys`, and returns the
   * attributes to set of each (`undefined` removes one), or `undefined` to leave them all; it is asked again when
   * another worker wrote in between.
   * @returns whether they were changed.
   */
  async changeAll(
    keys: readonly Key[],
    decide: (current: (Item | undefined)[]) => Item[] | undefined,
  ): Promise<boolean> {
    for (let race = 0; race < MAX_LOST_RACES; race += 1) {
      await stepBack(race);
      const read = race === 0 ? (key: Key) => this.getSeen(key) : (key: Key) => this.get(key);
      const isSeen = race === 0 && keys.some((key) => this.#seen.find(key) !== undefined);
      const current = await Promise.all(keys.map(read));
      const changes = decide(current);
      if (changes === undefined && isSeen) continue;
      if (changes === undefined) return false;
      const writeId = randomUUID();
      try {
        await this.#client.send(
          new TransactWriteCommand({
            TransactItems: keys.map((key, index) => ({
              Update: this.#updateOf(key, current[index], changes[index]!, writeId),
            })),
          }),
        );
        for (const [index, key] of keys.entries()) {
          const revision = ((current[index]?.[REVISION] as number | undefined) ?? 0) + 1;
          const written = { ...key, ...current[index], ...changes[index], [REVISION]: revision };
          this.#seen.note(key, { ...written, [WRITE_ID]: writeId });
        }
        return true;
      } catch (error) {
        for (const key of keys) this.#seen.forget(key);
        if (!isLostRace(error)) throw error;
        if ((await this.get(keys[0]!))?.[WRITE_ID] === writeId) return true;
      }
    }
    throw this.#tooManyRaces(keys);
  }

  async *query(input: Omit<QueryCommandInput, 'TableName'>): AsyncGenerator<Item> {
    let start: QueryCommandInput['ExclusiveStartKey'];
    do {
      const page = await this.#client.send(
        new QueryCommand({
          TableName: this.#table,
          ...input,
          ExclusiveStartKey: start,
        }),
      );
      yield* page.Items ?? [];
      start = page.LastEvaluatedKey;
    } while (start !== undefined);
  }

  /**
   * What `read` makes of the items of one part of the index, those due first. One that cannot be read must not stop the
   * others: it is reported last.
   */
  async *live<Read>(
    live: NonNullable<LiveEntry>['live'],
    read: (item: Item) => Read,
    dueBy = Number.MAX_SAFE_INTEGER,
  ): AsyncGenerator<Read> {
    const items = this.query({
      IndexName: LIVE_INDEX,
      KeyConditionExpression: '#live = :live AND #due <= :due',
      ExpressionAttributeNames: { '#live': LIVE_INDEX_PARTITION_KEY, '#due': LIVE_INDEX_SORT_KEY },
      ExpressionAttributeValues: { ':live': live, ':due': dueBy },
    });
    const unreadable: unknown[] = [];
    for await (const item of items) {
      this.#seen.note(item, item);
      let result: Read;
      try {
        result = read(item);
      } catch (error) {
        unreadable.push(error);
        continue;
      }
      yield result;
    }
    if (unreadable.length > 0) {
      const more = unreadable.length === 1 ? '' : ` (and ${unreadable.length - 1} more)`;
      throw new BatchdropError(`${(unreadable[0] as Error).message}${more}`, { cause: unreadable[0] });
    }
  }

  /** Names an item in messages. */
  nameOf(key: Item): string {
    return `item ${String(key[TABLE_PARTITION_KEY])} ${String(key[TABLE_SORT_KEY])} of table ${this.#table}`;
  }

  #updateOf(key: Key, current: Item | undefined, changes: Item, writeId: string) {
    const revision = current?.[REVISION] as number | undefined;
    return {
      TableName: this.#table,
      Key: key,
      ...updateExpressionOf({ ...changes, [REVISION]: (revision ?? 0) + 1, [WRITE_ID]: writeId }, revision),
    };
  }

  #tooManyRaces(keys: readonly Key[]): BatchdropError {
    const names = keys.map((key) => this.nameOf(key)).join(', ');
    return new BatchdropError(`${names} changed ${MAX_LOST_RACES} times in a row while it was being written`);
  }
}

/** Both attributes or, to leave the index, none. */
export function indexAttributes(entry: LiveEntry): Item {
  return { [LIVE_INDEX_PARTITION_KEY]: entry?.live, [LIVE_INDEX_SORT_KEY]: entry?.due };
}

async function stepBack(race: number): Promise<void> {
  if (race >= PATIENT_RACES) await wait(randomInt(MAX_STEP_BACK_MS));
}

/** Whether another worker wrote, and nothing is wrong. */
export function isLostRace(error: unknown): boolean {
  if (error instanceof ConditionalCheckFailedException || error instanceof TransactionConflictException)
    return true;
  if (!(error instanceof TransactionCanceledException)) return false;
  const reasons = error.CancellationReasons ?? [];
  return reasons.length > 0 && reasons.every(({ Code }) => RACE_CODES.has(Code));
}

/** Sets what has a value, removes what is `undefined`, if the item still has this revision (or does not exist yet). */
function updateExpressionOf(changes: Item, revision: number | undefined) {
  const names: Record<string, string> = {};
  const values: Item = {};
  const sets: string[] = [];
  const removes: string[] = [];
  for (const [index, [attribute, value]] of Object.entries(changes).entries()) {
    names[`#a${index}`] = attribute;
    if (value === undefined) removes.push(`#a${index}`);
    else {
      values[`:a${index}`] = value;
      sets.push(`#a${index} = :a${index}`);
    }
  }
  if (revision === undefined) names[`#${TABLE_PARTITION_KEY}`] = TABLE_PARTITION_KEY;
  else {
    names[`#${REVISION}`] = REVISION;
    values[`:${REVISION}`] = revision;
  }
  return {
    UpdateExpression: `SET ${sets.join(', ')}${removes.length > 0 ? ` REMOVE ${removes.join(', ')}` : ''}`,
    ConditionExpression: revision === undefined ? itemDoesNotExist : itemIsAsRead,
    ExpressionAttributeNames: names,
    ExpressionAttributeValues: values,
  };
}
