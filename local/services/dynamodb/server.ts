/**
 * DynamoDB on this machine: dynalite, kept on disk, with a front for what it lacks and batchdrop needs: transactions,
 * `ReturnValuesOnConditionCheckFailure`, time to live, and the switch for point-in-time recovery (which does nothing).
 *
 * Not there: Streams, PartiQL, backups, global tables.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import {
  AwsError,
  type AwsJsonRequest,
  type AwsJsonResponse,
  accessDenied,
  startAwsJsonServer,
} from '../aws-json-server.ts';
import type { Authorize } from '../iam/policy.ts';
import type { LocalService, ServiceOptions } from '../service.ts';
import { apiCallsOf, type PartitionKeys, tablesWithItemsIn } from './api-calls.ts';
import { type Engine, type Item, openEngine } from './engine.ts';
import { ReadWriteLock } from './read-write-lock.ts';
import { type TransactGetInput, TransactionLog, type TransactWriteInput } from './transactions.ts';

/** A running DynamoDB. */
export interface DynamoDb extends LocalService {
  /** Deletes the items whose time to live has passed; gives how many. AWS does it within days. */
  sweepExpired(): Promise<number>;
}

/** What DynamoDB is started with. */
export interface DynamoDbOptions extends ServiceOptions {
  /** Folder of its own, made if missing; tables and items survive a restart. */
  dir: string;
  /** Epoch milliseconds, for time to live. @default the machine's clock */
  now?: (() => number) | undefined;
}

/** How often a table that is being made is looked at. */
const TABLE_CHECK_MS = 2;

/** How often expired items are looked for. */
const SWEEP_INTERVAL_MS = 60_000;

/** What dynalite cannot keep, by table. */
interface TableSettings {
  ttlAttribute?: string;
  isPointInTimeRecoveryEnabled?: boolean;
}

/** Starts DynamoDB over the tables in a folder. */
export async function startDynamoDb(options: DynamoDbOptions): Promise<DynamoDb> {
  mkdirSync(options.dir, { recursive: true });
  const engine = await openEngine(join(options.dir, 'tables'));
  const front = new Front(engine, options);
  await front.recover();
  let sweep: Promise<unknown> = Promise.resolve();
  const timer = setInterval(() => {
    // What goes wrong here goes wrong for the next caller too, who then hears of it.
    sweep = front.sweepExpired().catch(() => 0);
  }, SWEEP_INTERVAL_MS);
  timer.unref();
  const server = await startAwsJsonServer({
    port: options.port,
    contentType: 'application/x-amz-json-1.0',
    handle: (request) => front.handle(request),
    interception: options.intercept && {
      service: 'dynamodb',
      resourceOf: ({ TableName }) => TableName,
      intercept: options.intercept,
    },
  });
  return {
    endpoint: server.endpoint,
    port: server.port,
    sweepExpired: () => front.sweepExpired(),
    async close() {
      clearInterval(timer);
      await sweep;
      await server.close();
      await engine.close();
    },
  };
}

/** A proxy in front of dynalite: it answers what dynalite does not have and passes on the rest. */
class Front {
  readonly #engine: Engine;
  readonly #authorize: Authorize | undefined;
  readonly #now: () => number;
  readonly #lock = new ReadWriteLock();
  readonly #settings: ReturnType<typeof loadSettings>;
  readonly #transactions: TransactionLog;
  readonly #schemas = new Map<string, TableSchema>();

  constructor(engine: Engine, { dir, authorize, now = Date.now }: DynamoDbOptions) {
    this.#engine = engine;
    this.#authorize = authorize;
    this.#now = now;
    this.#settings = loadSettings(join(dir, 'settings.json'));
    this.#transactions = new TransactionLog({
      engine,
      keyOf: (table, item) => this.#keyOf(table, item),
      undoFile: join(dir, 'transaction.json'),
      now,
    });
  }

  /** Undoes the transaction that a killed process left half done. */
  recover(): Promise<void> {
    return this.#transactions.recover();
  }

  async handle(request: AwsJsonRequest): Promise<AwsJsonResponse> {
    const { operation, body } = request;
    const input = parseInput(body);
    await this.#requireRights(request, input);
    const answer = this.#own[operation];
    if (answer !== undefined) return { status: 200, body: await answer(input as never) };
    const table = String(input.TableName);
    if (operation === 'DeleteTable') this.#schemas.delete(table);
    if (operation === 'CreateTable') return this.#createTable(table, body);
    if (input.ReturnValuesOnConditionCheckFailure === 'ALL_OLD')
      return this.#writeShowingItem(operation, table, input, body);
    return this.#lock.shared(() => this.#engine.forward(operation, body));
  }

  /** @throws AwsError `AccessDeniedException` */
  async #requireRights(
    { operation, accessKeyId, context }: AwsJsonRequest,
    input: Record<string, unknown>,
  ): Promise<void> {
    if (this.#authorize === undefined) return;
    for (const table of tablesWithItemsIn(operation, input))
      await this.#schemaOf(table).catch(() => undefined);
    for (const call of apiCallsOf(operation, input, (table) => this.#schemas.get(table)?.partitionKeys)) {
      const reason = this.#authorize(accessKeyId, { ...call, context: { ...context, ...call.context } });
      if (reason !== undefined) throw accessDenied('dynamodb', reason);
    }
  }

  /** Operations that the front answers itself. */
  readonly #own: Record<string, (input: never) => Promise<object>> = {
    TransactWriteItems: (input: TransactWriteInput) =>
      this.#lock.exclusive(() => this.#transactions.write(input)),
    // Exclusive too: a reader must see all of a plain writer's items or none.
    TransactGetItems: (input: TransactGetInput) => this.#lock.exclusive(() => this.#transactions.get(input)),
    UpdateTimeToLive: async (input: {
      TableName: string;
      TimeToLiveSpecification: { AttributeName: string; Enabled: boolean };
    }) => {
      const { AttributeName, Enabled } = input.TimeToLiveSpecification;
      const { ttlAttribute: _, ...rest } = this.#settings.of(input.TableName);
      this.#settings.set(input.TableName, Enabled ? { ...rest, ttlAttribute: AttributeName } : rest);
      return { TimeToLiveSpecification: input.TimeToLiveSpecification };
    },
    DescribeTimeToLive: async (input: { TableName: string }) => {
      const { ttlAttribute } = this.#settings.of(input.TableName);
      return {
        TimeToLiveDescription:
          ttlAttribute === undefined
            ? { TimeToLiveStatus: 'DISABLED' }
            : { TimeToLiveStatus: 'ENABLED', AttributeName: ttlAttribute },
      };
    },
    UpdateContinuousBackups: async (input: {
      TableName: string;
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: boolean };
    }) => {
      this.#settings.set(input.TableName, {
        ...this.#settings.of(input.TableName),
        isPointInTimeRecoveryEnabled: input.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled,
      });
      return describeBackups(this.#settings.of(input.TableName));
    },
    DescribeContinuousBackups: async (input: { TableName: string }) =>
      describeBackups(this.#settings.of(input.TableName)),
  };

  async #keyOf(table: string, item: Item): Promise<Item> {
    const { keyNames } = await this.#schemaOf(table);
    return Object.fromEntries(keyNames.map((name) => [name, item[name]]));
  }

  async #schemaOf(table: string): Promise<TableSchema> {
    const known = this.#schemas.get(table);
    if (known !== undefined) return known;
    const { Table } = await this.#engine.call<{ Table: DescribedTable }>('DescribeTable', {
      TableName: table,
    });
    const schema = schemaOf(Table);
    this.#schemas.set(table, schema);
    return schema;
  }

  /** Answers once the table can be used: callers on a laptop need not wait for what takes a millisecond. */
  async #createTable(name: string, body: Buffer): Promise<AwsJsonResponse> {
    const outcome = await this.#engine.forward('CreateTable', body);
    if (outcome.status !== 200) return outcome;
    for (;;) {
      const { Table } = await this.#engine.call<{ Table: { TableStatus: string } }>('DescribeTable', {
        TableName: name,
      });
      if (Table.TableStatus === 'ACTIVE') return outcome;
      await wait(TABLE_CHECK_MS);
    }
  }

  /** Exclusive, so that the item given with the failure is the one that the condition failed on. */
  #writeShowingItem(
    operation: string,
    table: string,
    input: Record<string, unknown>,
    body: Buffer,
  ): Promise<AwsJsonResponse> {
    return this.#lock.exclusive(async () => {
      const key = (input.Key as Item | undefined) ?? (await this.#keyOf(table, input.Item as Item));
      const outcome = await this.#engine.forward(operation, body);
      if (outcome.status !== 400) return outcome;
      const error = JSON.parse(outcome.body.toString());
      if (!String(error.__type).endsWith('ConditionalCheckFailedException')) return outcome;
      const { Item } = await this.#engine.call<{ Item?: Item }>('GetItem', {
        TableName: table,
        Key: key,
        ConsistentRead: true,
      });
      return { status: 400, body: Item === undefined ? error : { ...error, Item } };
    });
  }

  /** See {@link DynamoDb.sweepExpired}. */
  async sweepExpired(): Promise<number> {
    let count = 0;
    for (const [table, { ttlAttribute }] of this.#settings.entries()) {
      if (ttlAttribute === undefined) continue;
      let start: Item | undefined;
      do {
        const expired = this.#expired(ttlAttribute);
        const page: { Items: Item[]; LastEvaluatedKey?: Item } = await this.#lock.shared(() =>
          this.#engine.call('Scan', {
            TableName: table,
            FilterExpression: expired.expression,
            ...expired.names,
            ExclusiveStartKey: start,
          }),
        );
        for (const item of page.Items) if (await this.#removeExpired(table, item, ttlAttribute)) count += 1;
        start = page.LastEvaluatedKey;
      } while (start !== undefined);
    }
    return count;
  }

  #expired(ttlAttribute: string) {
    return {
      expression: '#ttl < :now',
      names: {
        ExpressionAttributeNames: { '#ttl': ttlAttribute },
        ExpressionAttributeValues: { ':now': { N: String(Math.floor(this.#now() / 1000)) } },
      },
    };
  }

  /** `false`: it was renewed since the scan. */
  async #removeExpired(table: string, item: Item, ttlAttribute: string): Promise<boolean> {
    const { expression, names } = this.#expired(ttlAttribute);
    const key = await this.#keyOf(table, item);
    const input = { TableName: table, Key: key, ConditionExpression: expression, ...names };
    try {
      await this.#lock.shared(() => this.#engine.call('DeleteItem', input));
      return true;
    } catch (error) {
      if (!(error instanceof AwsError) || error.code !== 'ConditionalCheckFailedException') throw error;
      return false;
    }
  }
}

/** What DescribeTable says of keys. */
interface DescribedTable {
  KeySchema: { AttributeName: string; KeyType: string }[];
  GlobalSecondaryIndexes?: { IndexName: string; KeySchema: DescribedTable['KeySchema'] }[];
}

/** The key of a table, and the partition keys of its indexes. */
interface TableSchema {
  keyNames: readonly string[];
  partitionKeys: PartitionKeys;
}

function schemaOf({ KeySchema, GlobalSecondaryIndexes = [] }: DescribedTable): TableSchema {
  const partitionKey = (schema: DescribedTable['KeySchema']) =>
    schema.find(({ KeyType }) => KeyType === 'HASH')?.AttributeName ?? '';
  return {
    keyNames: KeySchema.map(({ AttributeName }) => AttributeName),
    partitionKeys: {
      table: partitionKey(KeySchema),
      indexes: Object.fromEntries(
        GlobalSecondaryIndexes.map(({ IndexName, KeySchema: keys }) => [IndexName, partitionKey(keys)]),
      ),
    },
  };
}

function parseInput(body: Buffer): Record<string, unknown> {
  try {
    return JSON.parse(body.toString() || '{}');
  } catch {
    throw new AwsError('SerializationException', 'The request body is not JSON');
  }
}

function describeBackups({ isPointInTimeRecoveryEnabled }: TableSettings) {
  return {
    ContinuousBackupsDescription: {
      ContinuousBackupsStatus: 'ENABLED',
      PointInTimeRecoveryDescription: {
        PointInTimeRecoveryStatus: isPointInTimeRecoveryEnabled ? 'ENABLED' : 'DISABLED',
      },
    },
  };
}

function loadSettings(file: string) {
  const tables: Record<string, TableSettings> = existsSync(file)
    ? JSON.parse(readFileSync(file, 'utf8'))
    : {};
  return {
    of: (table: string): TableSettings => tables[table] ?? {},
    entries: () => Object.entries(tables),
    set(table: string, settings: TableSettings): void {
      tables[table] = settings;
      writeFileSync(`${file}.new`, JSON.stringify(tables));
      renameSync(`${file}.new`, file);
    },
  };
}
