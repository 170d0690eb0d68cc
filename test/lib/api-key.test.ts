import { RemovalPolicy } from 'aws-cdk-lib';
import { expect, test } from 'vitest';
import { onlyResource, synthesize } from './synthesize.ts';

const SECRET = 'AWS::SecretsManager::Secret';

test('the secret begins with a placeholder that no deployment changes', () => {
  expect(onlyResource(synthesize(), SECRET).Properties.SecretString).toBe('not-set');
});

test('the secret is retained with the stack gone, unless it is told otherwise', () => {
  expect(onlyResource(synthesize(), SECRET).DeletionPolicy).toBe('Retain');
  const destroyed = synthesize({ removalPolicy: RemovalPolicy.DESTROY });
  expect(onlyResource(destroyed, SECRET).DeletionPolicy).toBe('Delete');
});

test('the template refers to the secret by its ARN and never resolves its value', () => {
  expect(JSON.stringify(synthesize().toJSON())).not.toContain('{{resolve:');
});
