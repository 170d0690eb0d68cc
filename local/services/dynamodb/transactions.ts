/**
 * TransactWriteItems and TransactGetItems over an engine that lacks them.
 *
 * The caller runs {@link TransactionLog.write} alone (no other call at the same time), so isolation is free. Atomicity
 * is an undo log: the items as they were are written to a file before the first change and removed after the last, so
 * that a process killed in between undoes the rest at the next start.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { defined } from '../../../src/core/base/defined.ts';
import { AwsError } from '../aws-json-server.ts';
import type { Engine, Item } from './engine.ts';

/** One of Put, Update, Delete, ConditionCheck with its parameters. */
interface WriteParameters {
  TableName: string;
  Item?: Item;
  Key?: Item;
  ReturnValuesOnConditionCheckFailure?: 'ALL_OLD' | 'NONE';
}

export interface TransactWriteInput {
  TransactItems?: Record<string, WriteParameters>[];
  ClientRequestToken?: string;
}

export interface TransactGetInput {
  TransactItems?: { Get: Record<string, unknown> & { TableName: string } }[];
}

interface Undo {
  table: string;
  key: Item;
  before: Item | null;
}

/** AWS: at most 100 actions in a transaction. */
const MAX_ACTIONS = 100;
/** AWS: a ClientRequestToken is valid for 10 minutes. */
const TOKEN_LIFETIME_MS = 10 * 60_000;

const OPERATIONS: Record<string, string> = { Put: 'PutItem', Update: 'UpdateItem', Delete: 'DeleteItem' };

export class TransactionLog {
  readonly #engine: Engine;
  readonly #keyOf: (table: string, item: Item) => Promise<Item>;
  readonly #undoFile: string;
  readonly #now: () => number;
  readonly #tokens = new Map<string, { usedAtMs: number; digest: string }>();

  /**
   * @param options.keyOf picks the key attributes of an item
   * @param options.undoFile where the items as they were are kept while a transaction runs
   */
  constructor(options: {
    engine: Engine;
    keyOf: (table: string, item: Item) => Promise<Item>;
    undoFile: string;
    now: () => number;
  }) {
    this.#engine = options.engine;
    this.#keyOf = options.keyOf;
    this.#undoFile = options.undoFile;
    this.#now = options.now;
  }

  /** Undoes the transaction that a killed process left half done, if any. */
  async recover(): Promise<void> {
    if (!existsSync(this.#undoFile)) return;
    await this.#restore(JSON.parse(readFileSync(this.#undoFile, 'utf8')));
    rmSync(this.#undoFile);
  }

  /** Does all of the actions or none. @throws {AwsError} as DynamoDB does */
  async write(input: TransactWriteInput): Promise<object> {
    const actions = await this.#readActions(input);
    const digest = createHash('sha256').update(JSON.stringify(input.TransactItems)).digest('hex');
    const token = input.ClientRequestToken;
    if (token !== undefined && this.#wasDone(token, digest)) return {};

    const befores = await Promise.all(
      actions.map(({ parameters, key }) => this.#get(parameters.TableName, key)),
    );
    const undo = actions.map(({ parameters, key }, index) => ({
      table: parameters.TableName,
      key,
      before: befores[index] ?? null,
    }));
    // A rename is atomic: the file is whole or not there.
    writeFileSync(`${this.#undoFile}.new`, JSON.stringify(undo));
    renameSync(`${this.#undoFile}.new`, this.#undoFile);

    const applied: Undo[] = [];
    const reasons: Record<string, unknown>[] = [];
    try {
      for (const [index, action] of actions.entries()) {
        const before = befores[index];
        try {
          await this.#apply(action.kind, action.parameters, action.key, before);
          applied.push(undo[index]!);
          reasons.push({ Code: 'None' });
        } catch (error) {
          if (!(error instanceof AwsError) || error.code !== 'ConditionalCheckFailedException') throw error;
          const wantsItem = action.parameters.ReturnValuesOnConditionCheckFailure === 'ALL_OLD';
          reasons.push(
            defined({
              Code: 'ConditionalCheckFailed',
              Message: 'The conditional request failed',
              Item: wantsItem && before !== undefined ? before : undefined,
            }),
          );
        }
      }
      if (applied.length < actions.length) {
        const codes = reasons.map(({ Code }) => Code).join(', ');
        throw new AwsError(
          'TransactionCanceledException',
          `Transaction cancelled, please refer cancellation reasons for specific reasons [${codes}]`,
          { CancellationReasons: reasons },
        );
      }
    } catch (error) {
      await this.#restore(applied);
      throw error;
    } finally {
      rmSync(this.#undoFile);
    }
    if (token !== undefined) this.#tokens.set(token, { usedAtMs: this.#now(), digest });
    return {};
  }

  /** Reads all items; the caller keeps writers out meanwhile. */
  async get(input: TransactGetInput): Promise<object> {
    const items = input.TransactItems ?? [];
    requireActionCount(items.length);
    const responses = await Promise.all(
      items.map(({ Get }) => this.#engine.call<{ Item?: Item }>('GetItem', { ...Get, ConsistentRead: true })),
    );
    return { Responses: responses.map(({ Item }) => (Item === undefined ? {} : { Item })) };
  }

  async #readActions(input: TransactWriteInput) {
    const items = input.TransactItems ?? [];
    requireActionCount(items.length);
    const seen = new Set<string>();
    const actions: { kind: string; parameters: WriteParameters; key: Item }[] = [];
    for (const item of items) {
      const [kind, parameters] = Object.entries(item)[0] ?? ['', undefined];
      if (parameters === undefined || !(kind in OPERATIONS || kind === 'ConditionCheck')) {
        throw new AwsError('ValidationException', `Unknown transaction action "${kind}"`);
      }
      const key = parameters.Key ?? (await this.#keyOf(parameters.TableName, parameters.Item ?? {}));
      const identity = parameters.TableName + JSON.stringify(Object.entries(key).sort());
      if (seen.has(identity)) {
        throw new AwsError(
          'ValidationException',
          'Transaction request cannot include multiple operations on one item',
        );
      }
      seen.add(identity);
      actions.push({ kind, parameters, key });
    }
    return actions;
  }

  #wasDone(token: string, digest: string): boolean {
    const earlier = this.#tokens.get(token);
    if (earlier === undefined || this.#now() - earlier.usedAtMs > TOKEN_LIFETIME_MS) return false;
    if (earlier.digest === digest) return true;
    throw new AwsError(
      'IdempotentParameterMismatchException',
      'A request with the same ClientRequestToken and other parameters was made before',
    );
  }

  async #apply(kind: string, parameters: WriteParameters, key: Item, before: Item | undefined) {
    const { ReturnValuesOnConditionCheckFailure: _, ...call } = parameters;
    if (kind !== 'ConditionCheck') {
      await this.#engine.call(OPERATIONS[kind]!, call);
      return;
    }
    // Neither changes anything: an update without an expression, and the removal of an item that is not there.
    await this.#engine.call(before === undefined ? 'DeleteItem' : 'UpdateItem', { ...call, Key: key });
  }

  async #get(table: string, key: Item): Promise<Item | undefined> {
    const input = { TableName: table, Key: key, ConsistentRead: true };
    return (await this.#engine.call<{ Item?: Item }>('GetItem', input)).Item;
  }

  async #restore(undo: readonly Undo[]): Promise<void> {
    for (const { table, key, before } of undo) {
      if (before === null) await this.#engine.call('DeleteItem', { TableName: table, Key: key });
      else await this.#engine.call('PutItem', { TableName: table, Item: before });
    }
  }
}

function requireActionCount(count: number): void {
  if (count >= 1 && count <= MAX_ACTIONS) return;
  throw new AwsError(
    'ValidationException',
    `Value at 'transactItems' failed to satisfy constraint: Member must have length from 1 to ${MAX_ACTIONS}, not ${count}`,
  );
}
