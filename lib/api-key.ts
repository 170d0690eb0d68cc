import { ArnFormat, RemovalPolicy, SecretValue, Stack, Tags, Validations } from 'aws-cdk-lib';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import {
  API_KEY_PLACEHOLDER,
  apiKeySecretName,
  apiKeySecretsPrefix,
  DEFAULT_API_KEY,
} from '../src/contract/api-key.ts';
import { keyPermissions } from './encryption.ts';
import type { Permission } from './permission.ts';
import type { PipelineFunction } from './pipeline-function.ts';

/** Where the OpenAI API keys are kept. */
export interface ApiKeyProps {
  /** What the names of the secrets begin with. */
  readonly stackId: string;
  /** Whether the secret of the stack's own key is there already. @default false */
  readonly isOwnThere?: boolean | undefined;
  /** Names of further keys, beside the stack's own. @default - none */
  readonly others?: readonly string[] | undefined;
  /** What becomes of the secret of the stack's own key when the stack is deleted. @default RemovalPolicy.RETAIN */
  readonly removalPolicy?: RemovalPolicy | undefined;
  /** Key with which the secrets are encrypted. @default - AWS's own for Secrets Manager */
  readonly encryptionKey?: IKey | undefined;
}

/**
 * The secrets with the API keys, one each, as plain text. The keys are set with the AWS CLI after the first
 * deployment, so that they are in no template, no state of a build and no log; the functions read them at run time.
 */
export class ApiKey extends Construct {
  /** The secret of the stack's own key. */
  readonly secret: secretsmanager.ISecret;
  /** Every secret, by the name of its key. */
  readonly secrets: ReadonlyMap<string, secretsmanager.ISecret>;
  readonly #stackId: string;
  readonly #key: IKey | undefined;

  constructor(scope: Construct, id: string, props: ApiKeyProps) {
    super(scope, id);
    const { stackId, encryptionKey } = props;
    this.#stackId = stackId;
    this.#key = encryptionKey;
    const own = props.removalPolicy ?? RemovalPolicy.RETAIN;
    const newSecret = (
      secretId: string,
      name: string,
      description: string,
      removalPolicy: RemovalPolicy,
    ): secretsmanager.ISecret => {
      const secret = new secretsmanager.Secret(this, secretId, {
        secretName: apiKeySecretName(props.stackId, name),
        description,
        secretStringValue: SecretValue.unsafePlainText(API_KEY_PLACEHOLDER),
        ...(encryptionKey === undefined ? {} : { encryptionKey }),
        removalPolicy,
      });
      // For the account's cost allocation: of what the stack has, secrets alone belong to an API key.
      Tags.of(secret).add('batchdrop:api-key', name);
      Validations.of(secret).acknowledge({
        id: 'AwsSolutions-SMG4',
        reason:
          'OpenAI has no API by which AWS could rotate a project key; put-secret-value rotates it, without a deployment.',
      });
      // `ISecret` is declared without undefined, which exactOptionalPropertyTypes distinguishes.
      return secret as secretsmanager.ISecret;
    };
    const newOwn = () =>
      newSecret(
        'Secret',
        DEFAULT_API_KEY,
        'OpenAI API key of batchdrop, as plain text',
        // Not where a first deployment fails: the name would be taken when it is tried again.
        own === RemovalPolicy.RETAIN ? RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE : own,
      );
    this.secret =
      props.isOwnThere === true
        ? secretsmanager.Secret.fromSecretNameV2(
            this,
            'Secret',
            apiKeySecretName(props.stackId, DEFAULT_API_KEY),
          )
        : newOwn();
    this.secrets = new Map([
      [DEFAULT_API_KEY, this.secret],
      ...(props.others ?? []).map((name): [string, secretsmanager.ISecret] => [
        name,
        newSecret(
          `Secret-${name}`,
          name,
          `OpenAI API key "${name}" of batchdrop, as plain text`,
          // Its name would be taken when a route names the key again; the key is still at OpenAI.
          RemovalPolicy.DESTROY,
        ),
      ]),
    ]);
  }

  /** Lets a function read the keys. */
  allowRead(fn: PipelineFunction): void {
    fn.allow(
      this.onSecrets(['secretsmanager:GetSecretValue']),
      ...keyPermissions(this.#key, 'secretsmanager.read'),
    );
  }

  /** The statement that allows these actions on the secrets of all keys. */
  onSecrets(actions: readonly string[]): Permission {
    const resource = Stack.of(this).formatArn({
      service: 'secretsmanager',
      resource: 'secret',
      resourceName: `${apiKeySecretsPrefix(this.#stackId)}*`,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    });
    return {
      actions,
      resources: [resource],
      wildcardReason:
        'Names of secrets that begin with the id of the stack are those of its API keys, and no others.',
    };
  }
}
