/** What IAM is asked of a call to DynamoDB, with what policies may say about it. */
import type { RequestContext } from '../iam/conditions.ts';
import type { ApiCall } from '../iam/policy.ts';
import type { Item } from './engine.ts';

/** The attributes that are the partition keys of a table and of its indexes. */
export interface PartitionKeys {
  table: string;
  /** By name of the index. */
  indexes: Readonly<Record<string, string>>;
}

/** Operations that name items, whose partition keys `dynamodb:LeadingKeys` holds. */
const OF_ITEMS = new Set(['GetItem', 'PutItem', 'UpdateItem', 'DeleteItem', 'Query']);

/** The actions of a transaction need the rights of the plain operations. */
const ACTION_OF_TRANSACTION_MEMBER: Readonly<Record<string, string>> = {
  Put: 'dynamodb:PutItem',
  Update: 'dynamodb:UpdateItem',
  Delete: 'dynamodb:DeleteItem',
  ConditionCheck: 'dynamodb:ConditionCheckItem',
  Get: 'dynamodb:GetItem',
};

/** What is used of the inputs. */
interface ItemInput {
  TableName?: string;
  IndexName?: string;
  Key?: Item;
  Item?: Item;
  KeyConditionExpression?: string;
  ExpressionAttributeNames?: Readonly<Record<string, string>>;
  ExpressionAttributeValues?: Item;
}

/** Tables of a call whose partition keys must be known to say what it asks for. */
export function tablesWithItemsIn(operation: string, input: Record<string, unknown>): string[] {
  if (isTransaction(operation))
    return [...new Set(membersOf(input).map(({ parameters }) => String(parameters.TableName)))];
  return OF_ITEMS.has(operation) ? [String(input.TableName)] : [];
}

/**
 * The permissions that a call needs. AWS does not document whether each action of a transaction is held against its own
 * partition key or against those of all: it must be allowed both ways.
 *
 * @param keysOf gives those of {@link tablesWithItemsIn}; `undefined`: there is no such table
 */
export function apiCallsOf(
  operation: string,
  input: Record<string, unknown>,
  keysOf: (table: string) => PartitionKeys | undefined,
): ApiCall[] {
  if (isTransaction(operation)) return transactionCalls(operation, input, keysOf);
  const action = `dynamodb:${operation}`;
  if (operation === 'BatchWriteItem' || operation === 'BatchGetItem')
    return Object.keys(input.RequestItems ?? {}).map((table) => ({ action, resource: tableArn(table) }));
  if (input.TableName === undefined) return [{ action, resource: '*' }];
  const { TableName, IndexName } = input as ItemInput;
  const index = IndexName === undefined ? '' : `/index/${IndexName}`;
  const keys = OF_ITEMS.has(operation) ? keysOf(String(TableName)) : undefined;
  const leading = keys && leadingKeyOf(input, keys);
  return [{ action, resource: tableArn(String(TableName)) + index, context: leadingKeys(leading) }];
}

function transactionCalls(
  operation: string,
  input: Record<string, unknown>,
  keysOf: (table: string) => PartitionKeys | undefined,
): ApiCall[] {
  const members = membersOf(input).map(({ kind, parameters }) => {
    const keys = keysOf(String(parameters.TableName));
    return { kind, parameters, leading: (keys && leadingKeyOf(parameters, keys)) ?? [] };
  });
  const all = members.flatMap(({ leading }) => leading);
  return members.flatMap(({ kind, parameters, leading }) => {
    const action = ACTION_OF_TRANSACTION_MEMBER[kind] ?? `dynamodb:${kind}`;
    const resource = tableArn(String(parameters.TableName));
    const ways = members.length === 1 ? [leading] : [leading, all];
    return ways.map((way) => ({
      action,
      resource,
      context: { ...leadingKeys(way), 'dynamodb:EnclosingOperation': operation },
    }));
  });
}

function isTransaction(operation: string): boolean {
  return operation === 'TransactWriteItems' || operation === 'TransactGetItems';
}

function membersOf(input: Record<string, unknown>): { kind: string; parameters: ItemInput }[] {
  const items = (input.TransactItems ?? []) as Record<string, ItemInput>[];
  return items.flatMap((item) => Object.entries(item).map(([kind, parameters]) => ({ kind, parameters })));
}

function tableArn(table: string): string {
  return `arn:aws:dynamodb:us-east-1:000000000000:table/${table}`;
}

function leadingKeys(values: readonly string[] | undefined): RequestContext {
  return values === undefined || values.length === 0 ? {} : { 'dynamodb:LeadingKeys': values };
}

/** The value of the partition key that a call names. */
function leadingKeyOf(input: ItemInput, keys: PartitionKeys): string[] {
  const attribute = input.IndexName === undefined ? keys.table : keys.indexes[input.IndexName];
  if (attribute === undefined) return [];
  const item = input.Key ?? input.Item;
  return textOf(item === undefined ? equalTo(attribute, input) : item[attribute]);
}

/** The value that a key condition wants of an attribute. */
function equalTo(attribute: string, input: ItemInput): unknown {
  const { KeyConditionExpression = '', ExpressionAttributeNames: names, ExpressionAttributeValues } = input;
  const equalities = KeyConditionExpression.matchAll(/(#?\w+)\s*=\s*(:\w+)/g);
  for (const [, name = '', value = ''] of equalities)
    if ((names?.[name] ?? name) === attribute) return ExpressionAttributeValues?.[value];
  return undefined;
}

/** `{ S: 'a' }` and `{ N: '1' }` as text. */
function textOf(value: unknown): string[] {
  return value === null || typeof value !== 'object' ? [] : Object.values(value).map(String);
}
