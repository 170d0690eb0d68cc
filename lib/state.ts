import { RemovalPolicy } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import {
  type ItemKind,
  LIVE_INDEX,
  LIVE_INDEX_PARTITION_KEY,
  LIVE_INDEX_SORT_KEY,
  PARTITIONS,
  TABLE_PARTITION_KEY,
  TABLE_SORT_KEY,
  TTL_ATTRIBUTE,
} from '../src/contract/table.ts';
import { keyPermissions } from './encryption.ts';
import type { Permission } from './permission.ts';
import type { PipelineFunction } from './pipeline-function.ts';

/** Kinds of items that every function works with that keeps state, see `commonDeps` in src/runtime/deps/common.ts. */
const OF_ALL: readonly ItemKind[] = [
  ...(['job', 'lease', 'latest', 'publication'] as const),
  ...(['ledger', 'reservation', 'turns', 'backlog', 'drops', 'suspension', 'shutdowns'] as const),
];

/** What a function does with items. */
export interface ItemUse {
  /** Kinds that it writes beside those of every function. @default - none */
  readonly kinds?: readonly ItemKind[];
  /** Kinds that it only reads, beside pauses. @default - none */
  readonly alsoRead?: readonly ItemKind[];
  /** Whether it writes whole items. Items that are only kept up are made by an update too. @default false */
  readonly puts?: boolean;
  /** Whether it records jobs or batches, and so proves with each that the job was not forgotten. @default false */
  readonly records?: boolean;
}

/** Where the state of jobs is kept. */
export interface StateProps {
  /** Name of a table that a removed stack has left. It is not changed. @default - a table is made */
  readonly tableName?: string | undefined;
  /**
   * What becomes of the table when the stack is deleted. A retained table is also protected against deletion.
   *
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy | undefined;
  /** Key with which the table is encrypted. @default - AWS's own for DynamoDB */
  readonly encryptionKey?: IKey | undefined;
}

/**
 * The one table, on demand, with point-in-time recovery.
 *
 * `AWS::DynamoDB::Table` rather than `GlobalTable`: one region is enough, and its properties are the arguments of
 * `CreateTable`, so the local stack makes it from the template as it is.
 */
export class State extends Construct {
  /** The table: made here, or looked at by name. */
  readonly table: dynamodb.ITable;
  readonly #key: IKey | undefined;

  constructor(scope: Construct, id: string, props: StateProps = {}) {
    super(scope, id);
    this.#key = props.encryptionKey;
    this.table =
      props.tableName === undefined
        ? this.#makeTable(props.removalPolicy ?? RemovalPolicy.RETAIN)
        : dynamodb.Table.fromTableName(this, 'Table', props.tableName);
  }

  #makeTable(removalPolicy: RemovalPolicy): dynamodb.ITable {
    const table = new dynamodb.Table(this, 'Table', {
      partitionKey: { name: TABLE_PARTITION_KEY, type: dynamodb.AttributeType.STRING },
      sortKey: { name: TABLE_SORT_KEY, type: dynamodb.AttributeType.STRING },
      billingMode: dynamodb.BillingMode.PAY_PER_REQUEST,
      ...(this.#key === undefined
        ? { encryption: dynamodb.TableEncryption.AWS_MANAGED }
        : { encryption: dynamodb.TableEncryption.CUSTOMER_MANAGED, encryptionKey: this.#key }),
      timeToLiveAttribute: TTL_ATTRIBUTE,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: removalPolicy !== RemovalPolicy.DESTROY,
      removalPolicy,
    });
    table.addGlobalSecondaryIndex({
      indexName: LIVE_INDEX,
      partitionKey: { name: LIVE_INDEX_PARTITION_KEY, type: dynamodb.AttributeType.STRING },
      sortKey: { name: LIVE_INDEX_SORT_KEY, type: dynamodb.AttributeType.NUMBER },
      projectionType: dynamodb.ProjectionType.ALL,
    });
    // `ITable` is declared without undefined, which exactOptionalPropertyTypes distinguishes.
    return table as dynamodb.ITable;
  }

  /**
   * Lets a function read and write items, of these kinds beside those that every function works with. Deleting is not part
   * of it: an item is proof of what was done; only its expiry and {@link allowDelete} remove it.
   */
  allowReadWrite(fn: PipelineFunction, { kinds = [], alsoRead = [], puts, records }: ItemUse = {}): void {
    const written = [...OF_ALL, ...kinds];
    // In one statement, since each names every kind, and a role's policy must not be longer than 10,240 characters.
    fn.allow(this.#onItems([...(puts ? ['dynamodb:PutItem'] : []), 'dynamodb:UpdateItem'], written));
    if (records) {
      // In one transaction: whether its partition keys are looked at one by one is not documented.
      fn.allow(this.#onItems(['dynamodb:PutItem'], [...written, 'tombstone']));
      fn.allow(this.#onItems(['dynamodb:ConditionCheckItem'], ['job', 'tombstone']));
    }
    fn.allow(this.#onItems(['dynamodb:GetItem', 'dynamodb:Query'], [...written, 'pauses', ...alsoRead]));
    fn.allow(...this.keyUse('write'));
  }

  /** The statements that allow to use the key of the table, beside those on the table; none, if it has none. */
  keyUse(what: 'read' | 'write'): Permission[] {
    return keyPermissions(this.#key, `dynamodb.${what}`);
  }

  /** Lets a function delete what the table says of jobs that an operator has it forget. */
  allowDelete(fn: PipelineFunction): void {
    // A job goes in one transaction with the creation of its tombstone, and whether the partition keys of a transaction
    // are looked at one by one is not documented.
    fn.allow(this.#onItems(['dynamodb:DeleteItem'], ['job', 'jobs', 'input', 'tombstone']));
  }

  /** The statement that allows these actions on items of these kinds. */
  #onItems(actions: readonly string[], kinds: readonly ItemKind[]): Permission {
    const patterns = [...new Set(kinds)].map((kind) => patternOf(PARTITIONS[kind]));
    return {
      actions,
      resources: [this.table.tableArn],
      conditions: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': patterns } },
    };
  }

  /** Lets a function look for what is live or waiting. */
  allowQueryLive(fn: PipelineFunction): void {
    fn.allow({ actions: ['dynamodb:Query'], resources: [`${this.table.tableArn}/index/${LIVE_INDEX}`] });
  }
}

/** The partition keys of a kind, as a pattern. */
function patternOf(partition: string): string {
  return partition.endsWith('#') ? `${partition}*` : partition;
}
