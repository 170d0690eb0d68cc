/**
 * A DynamoDB table in memory that counts what each call would be charged: the adapters of `src/adapters` run on it as
 * they are, so that what they read and write is theirs and not a guess. It knows the commands and expressions that they
 * use and refuses all others.
 *
 * Units by the DynamoDB developer guide ("Read and write request units", "Item sizes and formats"): a read of 4 KB is
 * one unit if consistent and half a unit if not, a write of 1 KB is one; a query is rounded up once for each page of 1
 * MB; a transaction counts twice; an item of the index is written with the item, twice where its key changes. Index
 * writes of a transaction are counted twice as well, to be on the safe side: the guide does not say.
 */
import { ConditionalCheckFailedException, TransactionCanceledException } from '@aws-sdk/client-dynamodb';
import {
  type DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  TransactWriteCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb';
import {
  LIVE_INDEX,
  LIVE_INDEX_PARTITION_KEY,
  LIVE_INDEX_SORT_KEY,
  TABLE_PARTITION_KEY,
  TABLE_SORT_KEY,
} from '../../src/contract/table.ts';

type Item = Record<string, unknown>;
type Rows = Map<string, Item>;

const READ_UNIT_BYTES = 4 * 1024;
const WRITE_UNIT_BYTES = 1024;
const PAGE_BYTES = 1024 * 1024;
const UPDATE = /^SET (?<sets>.*?)(?: ADD (?<adds>.*?))?(?: REMOVE (?<removes>.*))?$/;

/** What calls of the table have taken. */
export interface TableUse {
  /** Calls over the network; each page of a query is one. */
  calls: number;
  readUnits: number;
  /** Of the table and of its index. */
  writeUnits: number;
}

/** What is counted, from nothing. */
export function noTableUse(): TableUse {
  return { calls: 0, readUnits: 0, writeUnits: 0 };
}

export class MeteredTable {
  /** By partition, then by sort key. */
  readonly #items = new Map<string, Rows>();
  readonly #index = new Map<string, Rows>();
  readonly #sizes = new WeakMap<Item, number>();
  readonly #onUse: (use: TableUse) => void;

  /** @param onUse told of every call. */
  constructor(onUse: (use: TableUse) => void) {
    this.#onUse = onUse;
  }

  /** For the adapters, which only send. */
  client(): DynamoDBDocumentClient {
    return { send: async (command: unknown) => this.#run(command) } as unknown as DynamoDBDocumentClient;
  }

  /** How many items there are, by what their partition key begins with; not counted as a call. */
  countItems(prefix = ''): number {
    let count = 0;
    for (const [partition, rows] of this.#items) if (partition.startsWith(prefix)) count += rows.size;
    return count;
  }

  /** How many items stand in a part of the index; not counted as a call. */
  countLive(live: string): number {
    return this.#index.get(live)?.size ?? 0;
  }

  #run(command: unknown): unknown {
    if (command instanceof GetCommand) {
      const item = this.#find(command.input.Key!);
      const units = this.#readUnits(item === undefined ? 0 : this.#sizeOf(item));
      this.#onUse({ calls: 1, readUnits: units * (command.input.ConsistentRead ? 1 : 0.5), writeUnits: 0 });
      return { Item: item };
    }
    if (command instanceof PutCommand) {
      const { Item: item, ...input } = command.input;
      return this.#write(() => this.#put(structuredClone(item!), input));
    }
    if (command instanceof UpdateCommand) {
      return this.#write(() =>
        this.#put(updated(this.#find(command.input.Key!), command.input), command.input),
      );
    }
    if (command instanceof TransactWriteCommand) {
      const writes = command.input.TransactItems!.map(
        ({ Put, Update, ConditionCheck }) => (Put ?? Update ?? ConditionCheck)!,
      );
      const failed = writes.map((write) => !holds(write, this.#find(keyOf(write))));
      if (failed.some((isFailed) => isFailed)) {
        this.#onUse({ calls: 1, readUnits: 0, writeUnits: 2 * writes.length });
        throw new TransactionCanceledException({
          message: 'Transaction cancelled',
          $metadata: {},
          CancellationReasons: failed.map((isFailed) => ({
            Code: isFailed ? 'ConditionalCheckFailed' : 'None',
          })),
        });
      }
      const units = writes.reduce((sum, write) => {
        const current = this.#find(keyOf(write));
        // A condition check, which takes what a write would: DynamoDB developer guide, "Capacity management for transactions".
        if (!('Item' in write || 'UpdateExpression' in write))
          return sum + 2 * writeUnits(current === undefined ? 0 : this.#sizeOf(current));
        const item = 'Item' in write ? structuredClone(write.Item!) : updated(current, write);
        return sum + 2 * this.#put(item, write).units;
      }, 0);
      this.#onUse({ calls: 1, readUnits: 0, writeUnits: units });
      return {};
    }
    if (command instanceof QueryCommand) return this.#query(command.input);
    throw new Error(`the metered table does not know ${(command as object).constructor.name}`);
  }

  #write(write: () => { item: Item; units: number }): { Attributes: Item } {
    try {
      const { item, units } = write();
      this.#onUse({ calls: 1, readUnits: 0, writeUnits: units });
      return { Attributes: item };
    } catch (error) {
      // A refused write is charged, too.
      this.#onUse({ calls: 1, readUnits: 0, writeUnits: 1 });
      throw error;
    }
  }

  /** Puts an item in the place of the one with its key, if the condition holds. */
  #put(item: Item, expression: Expression): { item: Item; units: number } {
    const current = this.#find(item);
    if (!holds(expression, current)) {
      throw new ConditionalCheckFailedException({ message: 'The conditional request failed', $metadata: {} });
    }
    const partition = String(item[TABLE_PARTITION_KEY]);
    const rows = this.#items.get(partition) ?? new Map();
    this.#items.set(partition, rows);
    rows.set(String(item[TABLE_SORT_KEY]), item);
    const sizes = [current, item].map((each) => (each === undefined ? 0 : this.#sizeOf(each))) as [
      number,
      number,
    ];
    return { item, units: writeUnits(Math.max(...sizes)) + this.#putIndex(current, item, sizes) };
  }

  /** @returns the units that the index takes. */
  #putIndex(current: Item | undefined, item: Item, [before, after]: [number, number]): number {
    const key = `${item[TABLE_PARTITION_KEY]} ${item[TABLE_SORT_KEY]}`;
    const was = current?.[LIVE_INDEX_PARTITION_KEY] as string | undefined;
    const is = item[LIVE_INDEX_PARTITION_KEY] as string | undefined;
    if (was !== undefined) this.#index.get(was)!.delete(key);
    if (is !== undefined) {
      const rows = this.#index.get(is) ?? new Map();
      this.#index.set(is, rows);
      rows.set(key, item);
    }
    if (was === is && current?.[LIVE_INDEX_SORT_KEY] === item[LIVE_INDEX_SORT_KEY])
      return is === undefined ? 0 : writeUnits(Math.max(before, after));
    return (was === undefined ? 0 : writeUnits(before)) + (is === undefined ? 0 : writeUnits(after));
  }

  #query(input: QueryCommand['input']): { Items: Item[] } {
    const isIndex = input.IndexName === LIVE_INDEX;
    const [partition, sort] = isIndex
      ? ([LIVE_INDEX_PARTITION_KEY, LIVE_INDEX_SORT_KEY] as const)
      : ([TABLE_PARTITION_KEY, TABLE_SORT_KEY] as const);
    const wanted = input.ExpressionAttributeValues![`:${partition}`] as string;
    const rows = (isIndex ? this.#index : this.#items).get(wanted) ?? new Map<string, Item>();
    const expression = { ...input, ConditionExpression: input.KeyConditionExpression };
    const items = [...rows.values()].filter(predicateOf(expression));
    items.sort((one, other) => ((one[sort] as string) < (other[sort] as string) ? -1 : 1));
    let page = 0;
    const pages = [0];
    for (const item of items) {
      page += this.#sizeOf(item);
      pages[pages.length - 1] = page;
      if (page >= PAGE_BYTES) {
        page = 0;
        pages.push(0);
      }
    }
    const readUnits = pages.reduce((sum, bytes) => sum + this.#readUnits(bytes), 0);
    const share = input.ConsistentRead ? 1 : 0.5;
    this.#onUse({ calls: pages.length, readUnits: readUnits * share, writeUnits: 0 });
    return { Items: items };
  }

  #find(key: Item): Item | undefined {
    return this.#items.get(String(key[TABLE_PARTITION_KEY]))?.get(String(key[TABLE_SORT_KEY]));
  }

  #readUnits(bytes: number): number {
    return Math.max(1, Math.ceil(bytes / READ_UNIT_BYTES));
  }

  #sizeOf(item: Item): number {
    const known = this.#sizes.get(item);
    if (known !== undefined) return known;
    const size = itemBytes(item);
    this.#sizes.set(item, size);
    return size;
  }
}

/** What a write of a transaction is about. */
function keyOf(write: { Item?: Item | undefined; Key?: Item | undefined }): Item {
  return (write.Item ?? write.Key)!;
}

function writeUnits(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / WRITE_UNIT_BYTES));
}

/** Size of an item as DynamoDB counts it, in bytes. */
function itemBytes(item: Item): number {
  let bytes = 0;
  for (const [name, value] of Object.entries(item))
    if (value !== undefined) bytes += Buffer.byteLength(name) + valueBytes(value);
  return bytes;
}

function valueBytes(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  // One byte for each two digits, and one more.
  if (typeof value === 'number' || typeof value === 'bigint') return Math.ceil(String(value).length / 2) + 1;
  if (value === null || typeof value === 'boolean') return 1;
  const values = Array.isArray(value)
    ? value.map((each) => 1 + valueBytes(each))
    : Object.entries(value as Item).map(([name, each]) => 1 + Buffer.byteLength(name) + valueBytes(each));
  return values.reduce((sum, bytes) => sum + bytes, 3);
}

interface Expression {
  ConditionExpression?: string | undefined;
  ExpressionAttributeNames?: Record<string, string> | undefined;
  ExpressionAttributeValues?: Item | undefined;
}

/** Whether a condition holds for what stands. */
function holds(expression: Expression, current: Item | undefined): boolean {
  return predicateOf(expression)(current);
}

type Predicate = (current: Item | undefined) => boolean;

function predicateOf(expression: Expression): Predicate {
  const { ConditionExpression: condition, ExpressionAttributeNames: names = {} } = expression;
  if (condition === undefined) return () => true;
  const values = expression.ExpressionAttributeValues ?? {};
  const terms = condition.split(' AND ').map((term): Predicate => {
    const absent = /^attribute_not_exists\((#\w+)\)$/.exec(term);
    if (absent !== null) return (current) => current?.[names[absent[1]!]!] === undefined;
    const begins = /^begins_with\((#\w+), (:\w+)\)$/.exec(term);
    if (begins !== null) {
      const [name, prefix] = [names[begins[1]!]!, values[begins[2]!] as string];
      return (current) => String(current?.[name]).startsWith(prefix);
    }
    const compared = /^(#\w+) (=|<|<=) (:\w+)$/.exec(term);
    if (compared === null) throw new Error(`the metered table does not know the condition "${term}"`);
    const [name, operator, value] = [names[compared[1]!]!, compared[2]!, values[compared[3]!] as string];
    if (operator === '=') return (current) => current?.[name] === value;
    return operator === '<'
      ? (current) => (current?.[name] as string) < value
      : (current) => (current?.[name] as string) <= value;
  });
  return (current) => terms.every((term) => term(current));
}

/** The item as an update leaves it; its condition is checked elsewhere. */
function updated(
  current: Item | undefined,
  input: { Key?: Item | undefined; UpdateExpression?: string | undefined } & Expression,
): Item {
  const parsed = UPDATE.exec(input.UpdateExpression ?? '');
  if (parsed === null)
    throw new Error(`the metered table does not know the update "${input.UpdateExpression}"`);
  const names = input.ExpressionAttributeNames ?? {};
  const item: Item = { ...input.Key, ...current };
  for (const set of parsed.groups!.sets!.split(', ')) {
    const [name, value] = set.split(' = ') as [string, string];
    item[names[name]!] = structuredClone(input.ExpressionAttributeValues![value]);
  }
  for (const add of parsed.groups!.adds?.split(', ') ?? []) {
    const [name, value] = add.split(' ') as [string, string];
    const sum = (item[names[name]!] ?? 0) as number | bigint;
    const more = input.ExpressionAttributeValues![value] as number | bigint;
    item[names[name]!] = BigInt(sum) + BigInt(more);
  }
  for (const name of parsed.groups!.removes?.split(', ') ?? []) delete item[names[name]!];
  return item;
}
