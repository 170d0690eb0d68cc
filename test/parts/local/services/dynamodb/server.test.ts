import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CreateTableCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  DynamoDBClient,
  UpdateContinuousBackupsCommand,
  UpdateTimeToLiveCommand,
} from '@aws-sdk/client-dynamodb';
import {
  BatchGetCommand,
  BatchWriteCommand,
  DeleteCommand,
  DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  ScanCommand,
  TransactGetCommand,
  TransactWriteCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type DynamoDb, startDynamoDb } from '../../../../../local/services/dynamodb/server.ts';
import { makeFolder, removeFolder, temporaryFolder } from '../../../../support/temporary-folder.ts';

const TABLE = 'things';
const NOW_MS = Date.UTC(2026, 0, 1);

const definition = {
  TableName: TABLE,
  BillingMode: 'PAY_PER_REQUEST',
  AttributeDefinitions: [
    { AttributeName: 'pk', AttributeType: 'S' },
    { AttributeName: 'sk', AttributeType: 'S' },
    { AttributeName: 'group', AttributeType: 'S' },
    { AttributeName: 'rank', AttributeType: 'S' },
    { AttributeName: 'due', AttributeType: 'N' },
  ],
  KeySchema: [
    { AttributeName: 'pk', KeyType: 'HASH' },
    { AttributeName: 'sk', KeyType: 'RANGE' },
  ],
  GlobalSecondaryIndexes: [
    {
      IndexName: 'all',
      KeySchema: [
        { AttributeName: 'group', KeyType: 'HASH' },
        { AttributeName: 'rank', KeyType: 'RANGE' },
      ],
      Projection: { ProjectionType: 'ALL' },
    },
    {
      IndexName: 'sparse',
      KeySchema: [
        { AttributeName: 'group', KeyType: 'HASH' },
        { AttributeName: 'due', KeyType: 'RANGE' },
      ],
      Projection: { ProjectionType: 'INCLUDE', NonKeyAttributes: ['x'] },
    },
  ],
} as const;

function connect({ endpoint }: DynamoDb) {
  const client = new DynamoDBClient({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'x', secretAccessKey: 'y' },
    maxAttempts: 1,
  });
  return { client, documents: DynamoDBDocumentClient.from(client) };
}

async function createTable(client: DynamoDBClient) {
  await client.send(new CreateTableCommand(structuredClone(definition) as never));
}

let folder: string;
let dynamodb: DynamoDb;
let client: DynamoDBClient;
let db: DynamoDBDocumentClient;

beforeAll(async () => {
  folder = makeFolder();
  dynamodb = await startDynamoDb({ dir: folder, now: () => NOW_MS });
  ({ client, documents: db } = connect(dynamodb));
  await createTable(client);
});

afterAll(async () => {
  client.destroy();
  await dynamodb.close();
  removeFolder(folder);
});

const put = (Item: Record<string, unknown>) => db.send(new PutCommand({ TableName: TABLE, Item }));
const get = async (pk: string, sk = '0') =>
  (await db.send(new GetCommand({ TableName: TABLE, Key: { pk, sk }, ConsistentRead: true }))).Item;

describe('tables and items', () => {
  test('an on-demand table with two indexes is active when it has been created', async () => {
    const { Table } = await client.send(new DescribeTableCommand({ TableName: TABLE }));
    expect(Table?.TableStatus).toBe('ACTIVE');
    expect(Table?.BillingModeSummary?.BillingMode).toBe('PAY_PER_REQUEST');
    expect(Table?.GlobalSecondaryIndexes).toHaveLength(2);
  });

  test('a put with attribute_not_exists is refused when the item is there', async () => {
    const command = () =>
      new PutCommand({
        TableName: TABLE,
        Item: { pk: 'once', sk: '0' },
        ConditionExpression: 'attribute_not_exists(pk)',
      });
    await db.send(command());
    await expect(db.send(command())).rejects.toThrow(
      expect.objectContaining({ name: 'ConditionalCheckFailedException' }),
    );
  });

  test('a failed condition gives the item that is there when ALL_OLD is asked for', async () => {
    await put({ pk: 'kept', sk: '0', x: 1 });
    const command = new PutCommand({
      TableName: TABLE,
      Item: { pk: 'kept', sk: '0', x: 2 },
      ConditionExpression: 'attribute_not_exists(pk)',
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    });
    await expect(db.send(command)).rejects.toThrow(
      expect.objectContaining({ Item: { pk: { S: 'kept' }, sk: { S: '0' }, x: { N: '1' } } }),
    );
  });

  test('a failed condition on a missing item gives no item', async () => {
    const command = new UpdateCommand({
      TableName: TABLE,
      Key: { pk: 'missing', sk: '0' },
      UpdateExpression: 'SET x = :x',
      ConditionExpression: 'attribute_exists(pk)',
      ExpressionAttributeValues: { ':x': 1 },
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    });
    const error = await db.send(command).catch((reason) => reason);
    expect(error.name).toBe('ConditionalCheckFailedException');
    expect(error.Item).toBeUndefined();
  });

  test('an update adds numbers, fills in defaults and appends to lists', async () => {
    const { Attributes } = await db.send(
      new UpdateCommand({
        TableName: TABLE,
        Key: { pk: 'counter', sk: '0' },
        UpdateExpression:
          'ADD done :n SET phase = if_not_exists(phase, :s), l = list_append(if_not_exists(l, :e), :v)',
        ExpressionAttributeValues: { ':n': 5, ':s': 'new', ':e': [], ':v': ['z'] },
        ReturnValues: 'ALL_NEW',
      }),
    );
    expect(Attributes).toMatchObject({ done: 5, phase: 'new', l: ['z'] });
  });

  test('an update changes nested maps, removes attributes and adds to sets', async () => {
    await put({ pk: 'nested', sk: '0', m: { a: 1, b: { c: 2 } }, z: 1 });
    const { Attributes } = await db.send(
      new UpdateCommand({
        TableName: TABLE,
        Key: { pk: 'nested', sk: '0' },
        UpdateExpression: 'SET #m.b.c = #m.b.c + :i REMOVE z ADD tags :t',
        ExpressionAttributeNames: { '#m': 'm' },
        ExpressionAttributeValues: { ':i': 3, ':t': new Set(['p', 'q']) },
        ReturnValues: 'ALL_NEW',
      }),
    );
    expect(Attributes).toEqual({
      pk: 'nested',
      sk: '0',
      m: { a: 1, b: { c: 5 } },
      tags: new Set(['p', 'q']),
    });
  });

  test('200 concurrent increments of one item add up to 200', async () => {
    const increment = () =>
      db.send(
        new UpdateCommand({
          TableName: TABLE,
          Key: { pk: 'atom', sk: '0' },
          UpdateExpression: 'ADD n :one',
          ExpressionAttributeValues: { ':one': 1 },
        }),
      );
    await Promise.all(Array.from({ length: 200 }, increment));
    expect((await get('atom'))?.n).toBe(200);
  });

  test('conditions know size, contains, BETWEEN, IN, begins_with, AND, OR and NOT', async () => {
    await put({ pk: 'conditions', sk: '0', s: 'hello', n: 5, l: ['a'] });
    await db.send(
      new UpdateCommand({
        TableName: TABLE,
        Key: { pk: 'conditions', sk: '0' },
        UpdateExpression: 'SET ok = :t',
        ConditionExpression:
          'size(s) = :five AND contains(l, :a) AND n BETWEEN :one AND :ten AND n IN (:five, :ten) AND ' +
          'begins_with(s, :h) AND NOT (n > :ten OR attribute_exists(nope))',
        ExpressionAttributeValues: { ':t': true, ':five': 5, ':a': 'a', ':one': 1, ':ten': 10, ':h': 'he' },
      }),
    );
    expect((await get('conditions'))?.ok).toBe(true);
  });

  test('a conditional delete is refused when the condition does not hold', async () => {
    await put({ pk: 'guarded', sk: '0', n: 1 });
    const command = new DeleteCommand({
      TableName: TABLE,
      Key: { pk: 'guarded', sk: '0' },
      ConditionExpression: 'n = :two',
      ExpressionAttributeValues: { ':two': 2 },
    });
    await expect(db.send(command)).rejects.toThrow(
      expect.objectContaining({ name: 'ConditionalCheckFailedException' }),
    );
    expect(await get('guarded')).toBeDefined();
  });

  test('an empty string is a value', async () => {
    await put({ pk: 'empty', sk: '0', e: '' });
    expect((await get('empty'))?.e).toBe('');
  });

  test.each([
    [
      'a reserved word without a placeholder is refused',
      { UpdateExpression: 'SET status = :s', ExpressionAttributeValues: { ':s': 1 } },
    ],
    [
      'a value that no expression uses is refused',
      { UpdateExpression: 'SET q = :s', ExpressionAttributeValues: { ':s': 1, ':unused': 2 } },
    ],
  ])('%s', async (_sentence, parameters) => {
    const command = new UpdateCommand({ TableName: TABLE, Key: { pk: 'a', sk: '0' }, ...parameters });
    await expect(db.send(command)).rejects.toThrow(expect.objectContaining({ name: 'ValidationException' }));
  });

  test('an item over 400 KB is refused', async () => {
    await expect(put({ pk: 'huge', sk: '0', v: 'x'.repeat(410 * 1024) })).rejects.toThrow(
      expect.objectContaining({ name: 'ValidationException' }),
    );
  });

  test('a table that does not exist is distinguished from an item that does not exist', async () => {
    const command = new GetCommand({ TableName: 'none', Key: { pk: 'a', sk: '0' } });
    await expect(db.send(command)).rejects.toThrow(
      expect.objectContaining({ name: 'ResourceNotFoundException' }),
    );
    expect(await get('none')).toBeUndefined();
  });

  test('point-in-time recovery can be switched on', async () => {
    const { ContinuousBackupsDescription } = await client.send(
      new UpdateContinuousBackupsCommand({
        TableName: TABLE,
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      }),
    );
    expect(ContinuousBackupsDescription?.PointInTimeRecoveryDescription?.PointInTimeRecoveryStatus).toBe(
      'ENABLED',
    );
  });
});

describe('queries and batches', () => {
  test('a sparse index holds only items with its keys, projects only what it says and forgets removed keys', async () => {
    for (let i = 0; i < 10; i += 1) {
      const due = i % 2 === 0 ? {} : { due: i };
      await put({ pk: `g${i}`, sk: '0', group: 'G', rank: `s${i}`, x: i, big: 'y', ...due });
    }
    const query = (IndexName: string, rest: object = {}) =>
      db.send(
        new QueryCommand({
          TableName: TABLE,
          IndexName,
          KeyConditionExpression: '#group = :g',
          ExpressionAttributeNames: { '#group': 'group' },
          ExpressionAttributeValues: { ':g': 'G' },
          ...rest,
        }),
      );
    expect((await query('all')).Count).toBe(10);

    const due = await query('sparse', {
      KeyConditionExpression: '#group = :g AND due <= :n',
      ExpressionAttributeValues: { ':g': 'G', ':n': 5 },
      ScanIndexForward: false,
    });
    expect(due.Items?.map((item) => item.due)).toEqual([5, 3, 1]);
    expect(due.Items?.[0]).not.toHaveProperty('big');

    await db.send(
      new UpdateCommand({ TableName: TABLE, Key: { pk: 'g1', sk: '0' }, UpdateExpression: 'REMOVE due' }),
    );
    expect((await query('sparse')).Count).toBe(4);
  });

  test('pages of 7 over 50 items give every item once, and a filter applies after the key condition', async () => {
    for (let batch = 0; batch < 2; batch += 1) {
      const requests = Array.from({ length: 25 }, (_, i) => ({
        PutRequest: {
          Item: { pk: 'pages', sk: String(batch * 25 + i).padStart(4, '0'), even: i % 2 === 0 },
        },
      }));
      await db.send(new BatchWriteCommand({ RequestItems: { [TABLE]: requests } }));
    }
    const keys: string[] = [];
    let start: Record<string, unknown> | undefined;
    do {
      const page = await db.send(
        new QueryCommand({
          TableName: TABLE,
          KeyConditionExpression: 'pk = :p',
          ExpressionAttributeValues: { ':p': 'pages' },
          Limit: 7,
          ExclusiveStartKey: start,
        }),
      );
      keys.push(...(page.Items ?? []).map((item) => item.sk));
      start = page.LastEvaluatedKey;
    } while (start !== undefined);
    expect(keys).toEqual(Array.from({ length: 50 }, (_, i) => String(i).padStart(4, '0')));

    const filtered = await db.send(
      new QueryCommand({
        TableName: TABLE,
        KeyConditionExpression: 'pk = :p AND sk BETWEEN :a AND :b',
        FilterExpression: 'even = :t',
        ExpressionAttributeValues: { ':p': 'pages', ':a': '0000', ':b': '0009', ':t': true },
      }),
    );
    expect(filtered.Count).toBe(5);

    const Keys = keys.map((sk) => ({ pk: 'pages', sk }));
    const batch = await db.send(new BatchGetCommand({ RequestItems: { [TABLE]: { Keys } } }));
    expect(batch.Responses?.[TABLE]).toHaveLength(50);
  });

  test('a query page ends at 1 MB', async () => {
    for (let i = 0; i < 30; i += 1) {
      await put({ pk: 'megabyte', sk: String(i).padStart(3, '0'), v: 'x'.repeat(50_000) });
    }
    const page = await db.send(
      new QueryCommand({
        TableName: TABLE,
        KeyConditionExpression: 'pk = :p',
        ExpressionAttributeValues: { ':p': 'megabyte' },
      }),
    );
    expect(page.LastEvaluatedKey).toBeDefined();
    expect(page.Count).toBeLessThan(30);
  });

  test('a batch write of 26 items is refused', async () => {
    const requests = Array.from({ length: 26 }, (_, i) => ({
      PutRequest: { Item: { pk: 'bw', sk: String(i) } },
    }));
    await expect(db.send(new BatchWriteCommand({ RequestItems: { [TABLE]: requests } }))).rejects.toThrow(
      expect.objectContaining({ name: 'ValidationException' }),
    );
  });

  test('the segments of a parallel scan together hold every item once', async () => {
    const count = async (segment?: { Segment: number; TotalSegments: number }) => {
      let total = 0;
      let start: Record<string, unknown> | undefined;
      do {
        const page = await db.send(
          new ScanCommand({ TableName: TABLE, Select: 'COUNT', ExclusiveStartKey: start, ...segment }),
        );
        total += page.Count ?? 0;
        start = page.LastEvaluatedKey;
      } while (start !== undefined);
      return total;
    };
    const [first, second, all] = await Promise.all([
      count({ Segment: 0, TotalSegments: 2 }),
      count({ Segment: 1, TotalSegments: 2 }),
      count(),
    ]);
    expect(first + second).toBe(all);
  });
});

describe('transactions', () => {
  const add = (sk: string) => ({
    Update: {
      TableName: TABLE,
      Key: { pk: 'tx', sk },
      UpdateExpression: 'ADD n :one',
      ExpressionAttributeValues: { ':one': 1 },
    },
  });

  test('put, update, delete and condition check happen together', async () => {
    await put({ pk: 'tx1', sk: 'gone' });
    await put({ pk: 'tx1', sk: 'checked', x: 1 });
    await db.send(
      new TransactWriteCommand({
        TransactItems: [
          {
            Put: {
              TableName: TABLE,
              Item: { pk: 'tx1', sk: 'a' },
              ConditionExpression: 'attribute_not_exists(pk)',
            },
          },
          add('together'),
          { Delete: { TableName: TABLE, Key: { pk: 'tx1', sk: 'gone' } } },
          {
            ConditionCheck: {
              TableName: TABLE,
              Key: { pk: 'tx1', sk: 'checked' },
              ConditionExpression: 'x = :one',
              ExpressionAttributeValues: { ':one': 1 },
            },
          },
          {
            ConditionCheck: {
              TableName: TABLE,
              Key: { pk: 'tx1', sk: 'nowhere' },
              ConditionExpression: 'attribute_not_exists(pk)',
            },
          },
        ],
      }),
    );
    expect(await get('tx1', 'a')).toBeDefined();
    expect(await get('tx1', 'gone')).toBeUndefined();
    expect(await get('tx1', 'checked')).toEqual({ pk: 'tx1', sk: 'checked', x: 1 });
    expect(await get('tx1', 'nowhere')).toBeUndefined();
    expect((await get('tx', 'together'))?.n).toBe(1);
  });

  test('a cancelled transaction changes nothing and gives the reason for each action', async () => {
    await put({ pk: 'tx2', sk: 'there', x: 7 });
    const error = await db
      .send(
        new TransactWriteCommand({
          TransactItems: [
            add('cancelled'),
            {
              Put: {
                TableName: TABLE,
                Item: { pk: 'tx2', sk: 'there' },
                ConditionExpression: 'attribute_not_exists(pk)',
                ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
              },
            },
          ],
        }),
      )
      .catch((reason) => reason);
    expect(error.name).toBe('TransactionCanceledException');
    expect(error.CancellationReasons.map(({ Code }: { Code: string }) => Code)).toEqual([
      'None',
      'ConditionalCheckFailed',
    ]);
    expect(error.CancellationReasons[1].Item).toEqual({
      pk: { S: 'tx2' },
      sk: { S: 'there' },
      x: { N: '7' },
    });
    expect(await get('tx', 'cancelled')).toBeUndefined();
    expect(await get('tx2', 'there')).toMatchObject({ x: 7 });
  });

  test('an action that is not valid cancels the others', async () => {
    const command = new TransactWriteCommand({
      TransactItems: [
        add('invalid'),
        {
          Update: {
            TableName: TABLE,
            Key: { pk: 'tx', sk: 'other' },
            UpdateExpression: 'SET status = :s',
            ExpressionAttributeValues: { ':s': 1 },
          },
        },
      ],
    });
    await expect(db.send(command)).rejects.toThrow(expect.objectContaining({ name: 'ValidationException' }));
    expect(await get('tx', 'invalid')).toBeUndefined();
  });

  test('a transaction with the same ClientRequestToken happens once', async () => {
    const command = (sk: string) =>
      new TransactWriteCommand({ ClientRequestToken: 'token-1', TransactItems: [add(sk)] });
    await db.send(command('once'));
    await db.send(command('once'));
    expect((await get('tx', 'once'))?.n).toBe(1);
    await expect(db.send(command('other'))).rejects.toThrow(
      expect.objectContaining({ name: 'IdempotentParameterMismatchException' }),
    );
  });

  test('two actions on one item are refused', async () => {
    await expect(
      db.send(new TransactWriteCommand({ TransactItems: [add('same'), add('same')] })),
    ).rejects.toThrow(expect.objectContaining({ name: 'ValidationException' }));
  });

  test('of 20 transactions that race for one condition exactly one wins', async () => {
    const claim = (by: number) =>
      db.send(
        new TransactWriteCommand({
          TransactItems: [
            {
              Put: {
                TableName: TABLE,
                Item: { pk: 'race', sk: '0', by },
                ConditionExpression: 'attribute_not_exists(pk)',
              },
            },
            add('race'),
          ],
        }),
      );
    const results = await Promise.allSettled(Array.from({ length: 20 }, (_, by) => claim(by)));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect((await get('tx', 'race'))?.n).toBe(1);
  });

  test('a transactional read gives an answer for each item, also for one that is missing', async () => {
    await put({ pk: 'tx3', sk: '0' });
    const { Responses } = await db.send(
      new TransactGetCommand({
        TransactItems: ['0', 'missing'].map((sk) => ({ Get: { TableName: TABLE, Key: { pk: 'tx3', sk } } })),
      }),
    );
    expect(Responses?.map((response) => response.Item)).toEqual([{ pk: 'tx3', sk: '0' }, undefined]);
  });
});

test('items whose time to live has passed are deleted by the sweep, others are kept', async () => {
  await client.send(
    new UpdateTimeToLiveCommand({
      TableName: TABLE,
      TimeToLiveSpecification: { AttributeName: 'expiresAt', Enabled: true },
    }),
  );
  const { TimeToLiveDescription } = await client.send(new DescribeTimeToLiveCommand({ TableName: TABLE }));
  expect(TimeToLiveDescription).toEqual({ TimeToLiveStatus: 'ENABLED', AttributeName: 'expiresAt' });
  await put({ pk: 'ttl', sk: 'past', expiresAt: NOW_MS / 1000 - 1 });
  await put({ pk: 'ttl', sk: 'future', expiresAt: NOW_MS / 1000 + 1 });
  await put({ pk: 'ttl', sk: 'never' });

  expect(await dynamodb.sweepExpired()).toBe(1);
  expect(await get('ttl', 'past')).toBeUndefined();
  expect(await get('ttl', 'future')).toBeDefined();
  expect(await get('ttl', 'never')).toBeDefined();
});

describe('a restart', () => {
  async function start(dir: string) {
    const server = await startDynamoDb({ dir, now: () => NOW_MS });
    const { client, documents } = connect(server);
    let isOpen = true;
    const close = async () => {
      if (!isOpen) return;
      isOpen = false;
      client.destroy();
      await server.close();
    };
    onTestFinished(close);
    return { server, client, db: documents, close };
  }

  test('keeps tables, items, indexes and the time to live', async () => {
    const dir = temporaryFolder();
    const first = await start(dir);
    await createTable(first.client);
    const TimeToLiveSpecification = { AttributeName: 'expiresAt', Enabled: true };
    await first.client.send(new UpdateTimeToLiveCommand({ TableName: TABLE, TimeToLiveSpecification }));
    await first.db.send(
      new PutCommand({ TableName: TABLE, Item: { pk: 'a', sk: '0', group: 'G', due: 1, expiresAt: 1 } }),
    );
    await first.close();

    const second = await start(dir);
    const { Items } = await second.db.send(
      new QueryCommand({
        TableName: TABLE,
        IndexName: 'sparse',
        KeyConditionExpression: '#group = :g',
        ExpressionAttributeNames: { '#group': 'group' },
        ExpressionAttributeValues: { ':g': 'G' },
      }),
    );
    expect(Items).toHaveLength(1);
    expect(await second.server.sweepExpired()).toBe(1);
  });

  test('undoes a transaction that a killed process left half done', async () => {
    const dir = temporaryFolder();
    const first = await start(dir);
    await createTable(first.client);
    await first.db.send(new PutCommand({ TableName: TABLE, Item: { pk: 'new', sk: '0' } }));
    await first.db.send(new PutCommand({ TableName: TABLE, Item: { pk: 'changed', sk: '0', x: 'after' } }));
    await first.close();
    // What a kill after two of its writes leaves: the items as they were, and a file that says so.
    const undo = [
      { table: TABLE, key: { pk: { S: 'new' }, sk: { S: '0' } }, before: null },
      {
        table: TABLE,
        key: { pk: { S: 'changed' }, sk: { S: '0' } },
        before: { pk: { S: 'changed' }, sk: { S: '0' }, x: { S: 'before' } },
      },
    ];
    writeFileSync(join(dir, 'transaction.json'), JSON.stringify(undo));

    const second = await start(dir);
    const { Items } = await second.db.send(new ScanCommand({ TableName: TABLE }));
    expect(Items).toEqual([{ pk: 'changed', sk: '0', x: 'before' }]);
  });
});

test('a call that the caller may not make is refused with what it lacks', async () => {
  const calls: unknown[] = [];
  const server = await startDynamoDb({
    dir: temporaryFolder(),
    authorize(accessKeyId, call) {
      calls.push({ accessKeyId, ...call });
      return 'not allowed here';
    },
  });
  onTestFinished(server.close);
  const { client, documents } = connect(server);
  onTestFinished(() => client.destroy());
  const command = new QueryCommand({
    TableName: TABLE,
    IndexName: 'all',
    KeyConditionExpression: 'pk = :p',
    ExpressionAttributeValues: { ':p': 'a' },
  });
  await expect(documents.send(command)).rejects.toThrow(
    expect.objectContaining({ name: 'AccessDeniedException', message: 'not allowed here' }),
  );
  expect(calls).toEqual([
    {
      accessKeyId: 'x',
      action: 'dynamodb:Query',
      resource: `arn:aws:dynamodb:us-east-1:000000000000:table/${TABLE}/index/all`,
      context: { 'aws:SecureTransport': 'true' },
    },
  ]);
});
