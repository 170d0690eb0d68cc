import { RemovalPolicy } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import {
  LIVE_INDEX,
  LIVE_INDEX_PARTITION_KEY,
  LIVE_INDEX_SORT_KEY,
  TABLE_PARTITION_KEY,
  TABLE_SORT_KEY,
  TTL_ATTRIBUTE,
} from '../src/contract/table.ts';
import { keyPermissions } from './encryption.ts';
import type { Permission } from './permission.ts';
import type { PipelineFunction } from './pipeline-function.ts';

/** Where the state of jobs is kept. */
export interface StateProps {
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
  /** The table itself. */
  readonly table: dynamodb.Table;
  readonly #key: IKey | undefined;

  constructor(scope: Construct, id: string, props: StateProps = {}) {
    super(scope, id);
    this.#key = props.encryptionKey;
    const removalPolicy = props.removalPolicy ?? RemovalPolicy.RETAIN;
    this.table = new dynamodb.Table(this, 'Table', {
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
    this.table.addGlobalSecondaryIndex({
      indexName: LIVE_INDEX,
      partitionKey: { name: LIVE_INDEX_PARTITION_KEY, type: dynamodb.AttributeType.STRING },
      sortKey: { name: LIVE_INDEX_SORT_KEY, type: dynamodb.AttributeType.NUMBER },
      projectionType: dynamodb.ProjectionType.ALL,
    });
  }

  /**
   * Lets a function read and write items. Deleting is not part of it: an item is proof of what was done; only its expiry
   * and {@link allowDelete} remove it.
   */
  allowReadWrite(fn: PipelineFunction): void {
    fn.allow({
      actions: ['dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:UpdateItem', 'dynamodb:Query'],
      resources: [this.table.tableArn],
    });
    fn.allow(...this.keyUse('write'));
  }

  /** The statements that allow to use the key of the table, beside those on the table; none, if it has none. */
  keyUse(what: 'read' | 'write'): Permission[] {
    return keyPermissions(this.#key, `dynamodb.${what}`);
  }

  /** Lets a function delete items: of jobs that an operator has it forget. */
  allowDelete(fn: PipelineFunction): void {
    fn.allow({ actions: ['dynamodb:DeleteItem'], resources: [this.table.tableArn] });
  }

  /** Lets a function look for what is live or waiting. */
  allowQueryLive(fn: PipelineFunction): void {
    fn.allow({ actions: ['dynamodb:Query'], resources: [`${this.table.tableArn}/index/${LIVE_INDEX}`] });
  }
}
