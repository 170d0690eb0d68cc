import { RemovalPolicy, SecretValue, Validations } from 'aws-cdk-lib';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { API_KEY_PLACEHOLDER } from '../src/contract/api-key.ts';
import type { PipelineFunction } from './pipeline-function.ts';

/** Where the OpenAI API key is kept. */
export interface ApiKeyProps {
  /** What becomes of the secret when the stack is deleted. @default RemovalPolicy.RETAIN */
  readonly removalPolicy?: RemovalPolicy | undefined;
}

/**
 * The secret with the API key as plain text. The key is set with the AWS CLI after the first deployment, so that it is
 * in no template, no state of a build and no log; the functions read it at run time.
 */
export class ApiKey extends Construct {
  /** The secret itself. */
  readonly secret: secretsmanager.Secret;

  constructor(scope: Construct, id: string, props: ApiKeyProps = {}) {
    super(scope, id);
    this.secret = new secretsmanager.Secret(this, 'Secret', {
      description: 'OpenAI API key of batchdrop, as plain text',
      secretStringValue: SecretValue.unsafePlainText(API_KEY_PLACEHOLDER),
      removalPolicy: props.removalPolicy ?? RemovalPolicy.RETAIN,
    });
    Validations.of(this.secret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason:
        'OpenAI has no API by which AWS could rotate a project key; put-secret-value rotates it, without a deployment.',
    });
  }

  /** Lets a function read the key. */
  allowRead(fn: PipelineFunction): void {
    fn.allow({ actions: ['secretsmanager:GetSecretValue'], resources: [this.secret.secretArn] });
  }
}
