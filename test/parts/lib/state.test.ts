import { RemovalPolicy } from 'aws-cdk-lib';
import { expect, test } from 'vitest';
import { onlyResource, synthesize } from '../../support/synthesize.ts';

const table = onlyResource(synthesize(), 'AWS::DynamoDB::Table');

test('the table has the keys and the sparse index of the contract, all attributes projected', () => {
  expect(table.Properties).toMatchObject({
    KeySchema: [
      { AttributeName: 'pk', KeyType: 'HASH' },
      { AttributeName: 'sk', KeyType: 'RANGE' },
    ],
    GlobalSecondaryIndexes: [
      {
        IndexName: 'live',
        KeySchema: [
          { AttributeName: 'live', KeyType: 'HASH' },
          { AttributeName: 'due', KeyType: 'RANGE' },
        ],
        Projection: { ProjectionType: 'ALL' },
      },
    ],
    AttributeDefinitions: [
      { AttributeName: 'pk', AttributeType: 'S' },
      { AttributeName: 'sk', AttributeType: 'S' },
      { AttributeName: 'live', AttributeType: 'S' },
      { AttributeName: 'due', AttributeType: 'N' },
    ],
  });
});

test('the table is on demand, encrypted and restorable to any second', () => {
  expect(table.Properties).toMatchObject({
    BillingMode: 'PAY_PER_REQUEST',
    SSESpecification: { SSEEnabled: true },
    PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
  });
});

test('the table forgets items that are no longer needed', () => {
  expect(table.Properties.TimeToLiveSpecification).toEqual({ AttributeName: 'expiresAt', Enabled: true });
});

test('a retained table is protected against deletion', () => {
  expect(table.DeletionPolicy).toBe('Retain');
  expect(table.Properties.DeletionProtectionEnabled).toBe(true);
});

test('a table that may be destroyed is not protected', () => {
  const destroyed = onlyResource(
    synthesize({ removalPolicy: RemovalPolicy.DESTROY }),
    'AWS::DynamoDB::Table',
  );
  expect(destroyed.DeletionPolicy).toBe('Delete');
  expect(destroyed.Properties.DeletionProtectionEnabled).toBe(false);
});
