import { RemovalPolicy, SecretValue, Validations } from 'aws-cdk-lib';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { API_KEY_PLACEHOLDER, DEFAULT_API_KEY } from '../src/contract/api-key.ts';
import type { PipelineFunction } from './pipeline-function.ts';

/** Where the OpenAI API keys are kept. */
export interface ApiKeyProps {
  /** Names of further keys, beside the stack's own. @default - none */
  readonly others?: readonly string[] | undefined;
  /** What becomes of the secrets when the stack is deleted. @default RemovalPolicy.RETAIN */
  readonly removalPolicy?: RemovalPolicy | undefined;
}

/**
 * The secrets with the API keys, one each, as plain text. The keys are set with the AWS CLI after the first deployment, so
 * that they are in no template, no state of a build and no log; the functions read them at run time.
 */
export class ApiKey extends Construct {
  /** The secret of the stack's own key. */
  readonly secret: secretsmanager.Secret;
  /** Every secret, by the name of its key. */
  readonly secrets: ReadonlyMap<string, secretsmanager.Secret>;

  constructor(scope: Construct, id: string, props: ApiKeyProps = {}) {
    super(scope, id);
    const removalPolicy = props.removalPolicy ?? RemovalPolicy.RETAIN;
    const newSecret = (secretId: string, description: string): secretsmanager.Secret => {
      const secret = new secretsmanager.Secret(this, secretId, {
        description,
        secretStringValue: SecretValue.unsafePlainText(API_KEY_PLACEHOLDER),
        removalPolicy,
      });
      Validations.of(secret).acknowledge({
        id: 'AwsSolutions-SMG4',
        reason:
          'OpenAI has no API by which AWS could rotate a project key; put-secret-value rotates it, without a deployment.',
      });
      return secret;
    };
    this.secret = newSecret('Secret', 'OpenAI API key of batchdrop, as plain text');
    this.secrets = new Map([
      [DEFAULT_API_KEY, this.secret],
      ...(props.others ?? []).map((name): [string, secretsmanager.Secret] => [
        name,
        newSecret(`Secret-${name}`, `OpenAI API key "${name}" of batchdrop, as plain text`),
      ]),
    ]);
  }

  /** Lets a function read the keys. */
  allowRead(fn: PipelineFunction): void {
    const resources = [...this.secrets.values()].map(({ secretArn }) => secretArn);
    fn.allow({ actions: ['secretsmanager:GetSecretValue'], resources });
  }
}
