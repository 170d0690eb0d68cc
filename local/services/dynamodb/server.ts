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
  startAwsJsonServer,
} from '../aws-json-server.ts';
import type { Authorize } from '../iam.ts';
import type { Intercept } from '../interception.ts';
import { type Item, openEngine } from './engine.ts';
import { ReadWriteLock } from './read-write-lock.ts';
import { type TransactGetInput, TransactionLog, type TransactWriteInput } from './transactions.ts';

export interface DynamoDb {
  /** `http://127.0.0.1:PORT` */
  endpoint: string;
  port: number;
  /** Deletes the items whose time to live has passed; gives how many. AWS does it within days. */
  sweepExpired(): Promise<number>;
  close(): Promise<void>;
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

/**
 * Starts DynamoDB over the tables in folder `dir`; tables and items survive a restart.
 *
 * @param options.dir folder of its own, made if missing
 * @param options.port default 0: the system chooses
 * @param options.now epoch milliseconds, for time to live; default the machine's clock
 * @param options.authorize refuses calls; default: every call is allowed
 * @param options.intercept sees the calls of functions
 */
export async function startDynamoDb(options: {
  dir: string;
  port?: number | undefined;
  now?: (() => number) | undefined;
  authorize?: Authorize | undefined;
  intercept?: Intercept | undefined;
}): Promise<DynamoDb> {
  const now = options.now ?? Date.now;
  mkdirSync(options.dir, { recursive: true });
  const engine = await openEngine(join(options.dir, 'tables'));
  const lock = new ReadWriteLock();
  const settings = loadSettings(join(options.dir, 'settings.json'));

  const keyNames = new Map<string, string[]>();
  async function keyOf(table: string, item: Item): Promise<Item> {
    let names = keyNames.get(table);
    if (names === undefined) {
      const { Table } = await engine.call<{ Table: { KeySchema: { AttributeName: string }[] } }>(
        'DescribeTable',
        { TableName: table },
      );
      names = Table.KeySchema.map(({ AttributeName }) => AttributeName);
      keyNames.set(table, names);
    }
    return Object.fromEntries(names.map((name) => [name, item[name]]));
  }

  const transactions = new TransactionLog({
    engine,
    keyOf,
    undoFile: join(options.dir, 'transaction.json'),
    now,
  });
  await transactions.recover();

  /** Operations that the front answers itself. */
  const own: Record<string, (input: never) => Promise<object>> = {
    TransactWriteItems: (input: TransactWriteInput) => lock.exclusive(() => transactions.write(input)),
    // Exclusive too: a reader must see all of a plain writer's items or none.
    TransactGetItems: (input: TransactGetInput) => lock.exclusive(() => transactions.get(input)),
    async UpdateTimeToLive(input: {
      TableName: string;
      TimeToLiveSpecification: { AttributeName: string; Enabled: boolean };
    }) {
      const { AttributeName, Enabled } = input.TimeToLiveSpecification;
      const { ttlAttribute: _, ...rest } = settings.of(input.TableName);
      settings.set(input.TableName, Enabled ? { ...rest, ttlAttribute: AttributeName } : rest);
      return { TimeToLiveSpecification: input.TimeToLiveSpecification };
    },
    async DescribeTimeToLive(input: { TableName: string }) {
      const { ttlAttribute } = settings.of(input.TableName);
      return {
        TimeToLiveDescription:
          ttlAttribute === undefined
            ? { TimeToLiveStatus: 'DISABLED' }
            : { TimeToLiveStatus: 'ENABLED', AttributeName: ttlAttribute },
      };
    },
    async UpdateContinuousBackups(input: {
      TableName: string;
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: boolean };
    }) {
      settings.set(input.TableName, {
        ...settings.of(input.TableName),
        isPointInTimeRecoveryEnabled: input.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled,
      });
      return describeBackups(settings.of(input.TableName));
    },
    async DescribeContinuousBackups(input: { TableName: string }) {
      return describeBackups(settings.of(input.TableName));
    },
  };

  /** Answers once the table can be used: callers on a laptop need not wait for what takes a millisecond. */
  async function createTable(name: string, body: Buffer): Promise<AwsJsonResponse> {
    const outcome = await engine.forward('CreateTable', body);
    if (outcome.status !== 200) return outcome;
    for (;;) {
      const { Table } = await engine.call<{ Table: { TableStatus: string } }>('DescribeTable', {
        TableName: name,
      });
      if (Table.TableStatus === 'ACTIVE') return outcome;
      await wait(TABLE_CHECK_MS);
    }
  }

  async function handle(request: AwsJsonRequest): Promise<AwsJsonResponse> {
    const { operation, body } = request;
    const input = parseInput(body);
    for (const call of apiCallsOf(operation, input)) {
      const reason = options.authorize?.(request.accessKeyId, call);
      if (reason !== undefined) throw new AwsError('AccessDeniedException', reason);
    }
    const answer = own[operation];
    if (answer !== undefined) return { status: 200, body: await answer(input as never) };
    if (operation === 'DeleteTable') keyNames.delete(String(input.TableName));
    if (operation === 'CreateTable') return createTable(String(input.TableName), body);
    const wantsItem = input.ReturnValuesOnConditionCheckFailure === 'ALL_OLD';
    if (!wantsItem) return lock.shared(() => engine.forward(operation, body));
    // Exclusive, so that the item given with the failure is the one that the condition failed on.
    return lock.exclusive(async () => {
      const table = String(input.TableName);
      const key = (input.Key as Item | undefined) ?? (await keyOf(table, input.Item as Item));
      const outcome = await engine.forward(operation, body);
      if (outcome.status !== 400) return outcome;
      const error = JSON.parse(outcome.body.toString());
      if (!String(error.__type).endsWith('ConditionalCheckFailedException')) return outcome;
      const { Item } = await engine.call<{ Item?: Item }>('GetItem', {
        TableName: table,
        Key: key,
        ConsistentRead: true,
      });
      return { status: 400, body: Item === undefined ? error : { ...error, Item } };
    });
  }

  async function sweepExpired(): Promise<number> {
    let count = 0;
    for (const [table, { ttlAttribute }] of settings.entries()) {
      if (ttlAttribute === undefined) continue;
      const isExpired = {
        ExpressionAttributeNames: { '#ttl': ttlAttribute },
        ExpressionAttributeValues: { ':now': { N: String(Math.floor(now() / 1000)) } },
      };
      let start: Item | undefined;
      do {
        const page: { Items: Item[]; LastEvaluatedKey?: Item } = await lock.shared(() =>
          engine.call('Scan', {
            TableName: table,
            FilterExpression: '#ttl < :now',
            ...isExpired,
            ...(start === undefined ? {} : { ExclusiveStartKey: start }),
          }),
        );
        for (const item of page.Items) {
          const input = {
            TableName: table,
            Key: await keyOf(table, item),
            ConditionExpression: '#ttl < :now',
            ...isExpired,
          };
          try {
            await lock.shared(() => engine.call('DeleteItem', input));
            count += 1;
          } catch (error) {
            // Renewed since the scan.
            if (!(error instanceof AwsError) || error.code !== 'ConditionalCheckFailedException') throw error;
          }
        }
        start = page.LastEvaluatedKey;
      } while (start !== undefined);
    }
    return count;
  }

  let sweep: Promise<unknown> = Promise.resolve();
  const timer = setInterval(() => {
    // What goes wrong here goes wrong for the next caller too, who then hears of it.
    sweep = sweepExpired().catch(() => 0);
  }, SWEEP_INTERVAL_MS);
  timer.unref();

  const server = await startAwsJsonServer({
    port: options.port,
    contentType: 'application/x-amz-json-1.0',
    handle,
    interception: options.intercept && {
      service: 'dynamodb',
      resourceOf: ({ TableName }) => TableName,
      intercept: options.intercept,
    },
  });
  return {
    endpoint: server.endpoint,
    port: server.port,
    sweepExpired,
    async close() {
      clearInterval(timer);
      await sweep;
      await server.close();
      await engine.close();
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

/** The actions of a transaction need the rights of the plain operations. */
const ACTION_OF_TRANSACTION_MEMBER: Record<string, string> = {
  Put: 'dynamodb:PutItem',
  Update: 'dynamodb:UpdateItem',
  Delete: 'dynamodb:DeleteItem',
  ConditionCheck: 'dynamodb:ConditionCheckItem',
  Get: 'dynamodb:GetItem',
};

function apiCallsOf(operation: string, input: Record<string, unknown>) {
  const arn = (table: unknown) => `arn:aws:dynamodb:us-east-1:000000000000:table/${table}`;
  if (operation === 'TransactWriteItems' || operation === 'TransactGetItems') {
    const items = (input.TransactItems ?? []) as Record<string, { TableName: string }>[];
    return items.flatMap((item) =>
      Object.entries(item).map(([kind, { TableName }]) => ({
        action: ACTION_OF_TRANSACTION_MEMBER[kind] ?? `dynamodb:${kind}`,
        resource: arn(TableName),
      })),
    );
  }
  const action = `dynamodb:${operation}`;
  if (operation === 'BatchWriteItem' || operation === 'BatchGetItem') {
    return Object.keys(input.RequestItems ?? {}).map((table) => ({ action, resource: arn(table) }));
  }
  if (input.TableName === undefined) return [{ action, resource: '*' }];
  const index = input.IndexName === undefined ? '' : `/index/${input.IndexName}`;
  return [{ action, resource: arn(input.TableName) + index }];
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
