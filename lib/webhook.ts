import {
  ArnFormat,
  Aws,
  type CfnResource,
  Duration,
  RemovalPolicy,
  SecretValue,
  Stack,
  Tags,
  Validations,
} from 'aws-cdk-lib';
import * as apigw from 'aws-cdk-lib/aws-apigateway';
import * as apigateway from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import type { EnvVars, webhookEnv } from '../src/contract/env.ts';
import {
  WEBHOOK_SECRET_PLACEHOLDER,
  type WebhookSettings,
  webhookSecretName,
  webhookSecretsPrefix,
} from '../src/contract/webhooks.ts';
import { keyPermissions } from './encryption.ts';
import { type Foundation, telemetryEnvironment } from './environment.ts';
import { PipelineFunction } from './pipeline-function.ts';
import type { Platform } from './platform.ts';
import { allowSend, type WorkQueue } from './work-queue.ts';

/** What the webhook function is built on. */
export interface WebhookProps extends Pick<Foundation, 'stackId' | 'platform' | 'reservedConcurrency'> {
  /** Which projects send webhooks, and to what. */
  readonly webhooks: WebhookSettings;
  /** Where to put what they name. */
  readonly observeQueue: WorkQueue;
}

/** Why anybody may call the URL. */
const OPEN_REASON =
  'OpenAI cannot sign requests for IAM. The function checks the HMAC signature and the time of each request before it does anything.';

/** cdk-nag's packs that forbid functions which anybody may call. */
const NAG_PACKS = ['HIPAA.Security', 'NIST.800.53.R4', 'NIST.800.53.R5', 'PCI.DSS.321'];

/** Requests a second that an HTTP API lets through; OpenAI sends again what is refused for more. */
const THROTTLING = { rateLimit: 50, burstLimit: 200 };

/**
 * Takes in OpenAI's webhooks: a URL that anybody may call, behind which a function proves that a request is OpenAI's
 * and hands on what it names. It may read the signing secrets and send to one queue, and nothing else.
 */
export class Webhook extends Construct {
  /** The function. */
  readonly fn: PipelineFunction;
  /** What OpenAI is to send to. */
  readonly url: string;
  /** The secrets with the signing secrets, by the name of the API key. */
  readonly secrets: ReadonlyMap<string, secretsmanager.Secret>;

  constructor(scope: Construct, id: string, props: WebhookProps) {
    super(scope, id);
    const { stackId, webhooks, observeQueue } = props;
    this.secrets = new Map(
      webhooks.apiKeys.map((name) => [name, this.#newSecret(stackId, name, props.platform.encryptionKey)]),
    );
    const fn = new PipelineFunction(this, 'Function', {
      capability: 'webhook',
      description: "Checks the signature of OpenAI's webhooks",
      // The share of a CPU that goes with it makes cold starts short.
      memorySize: 512,
      timeout: Duration.seconds(10),
      platform: props.platform,
      reservedConcurrency: props.reservedConcurrency?.webhook,
      layers: [],
      environment: {
        STACK_ID: stackId,
        OBSERVE_QUEUE_URL: observeQueue.queue.queueUrl,
        WEBHOOK_API_KEYS: webhooks.apiKeys.join(','),
        ...telemetryEnvironment('webhook'),
      } satisfies EnvVars<typeof webhookEnv>,
    });
    this.fn = fn;
    allowSend(fn, [observeQueue]);
    fn.allow({
      actions: ['secretsmanager:GetSecretValue'],
      resources: [
        Stack.of(this).formatArn({
          service: 'secretsmanager',
          resource: 'secret',
          resourceName: `${webhookSecretsPrefix(stackId)}*`,
          arnFormat: ArnFormat.COLON_RESOURCE_NAME,
        }),
      ],
      wildcardReason:
        'Names of secrets that begin so are those of the signing secrets of this stack, and no others.',
    });
    fn.allow(...keyPermissions(props.platform.encryptionKey, 'secretsmanager.read'));
    this.url = webhooks.endpoint === 'http_api' ? this.#httpApi(props.platform) : this.#functionUrl();
  }

  #newSecret(stackId: string, apiKey: string, encryptionKey: IKey | undefined): secretsmanager.Secret {
    const secret = new secretsmanager.Secret(this, `Secret-${apiKey}`, {
      secretName: webhookSecretName(stackId, apiKey),
      description: `Signing secret of OpenAI's webhooks for the API key "${apiKey}" of batchdrop, as plain text`,
      secretStringValue: SecretValue.unsafePlainText(WEBHOOK_SECRET_PLACEHOLDER),
      ...(encryptionKey === undefined ? {} : { encryptionKey }),
      // Its name would be taken when webhooks are turned on again; `webhook rotate` makes another one.
      removalPolicy: RemovalPolicy.DESTROY,
    });
    Tags.of(secret).add('batchdrop:api-key', apiKey);
    Validations.of(secret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason:
        '`batchdrop webhook rotate` rotates it together with what OpenAI signs with, without a deployment.',
    });
    return secret;
  }

  #functionUrl(): string {
    const url = this.fn.addFunctionUrl({ authType: lambda.FunctionUrlAuthType.NONE });
    for (const resource of this.fn.node.findAll())
      if (resource instanceof lambda.CfnUrl || resource instanceof lambda.CfnPermission)
        acknowledgeOpen(resource);
    return url.url;
  }

  #httpApi({ logRetention, encryptionKey }: Platform): string {
    const api = new apigateway.HttpApi(this, 'Api', {
      apiName: `${Aws.STACK_NAME}-webhooks`,
      description: "OpenAI's webhooks for batchdrop",
      createDefaultStage: false,
    });
    api.addRoutes({
      path: '/',
      methods: [apigateway.HttpMethod.POST],
      integration: new HttpLambdaIntegration('Integration', this.fn),
    });
    const accessLogs = new LogGroup(this, 'AccessLogs', {
      retention: logRetention ?? RetentionDays.ONE_MONTH,
      ...(encryptionKey === undefined ? {} : { encryptionKey }),
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const context = apigw.AccessLogField;
    new apigateway.HttpStage(this, 'Stage', {
      httpApi: api,
      stageName: '$default',
      autoDeploy: true,
      throttle: THROTTLING,
      accessLogSettings: {
        destination: new apigateway.LogGroupLogDestination(accessLogs),
        // Nothing of what was sent: anybody may have sent it.
        format: apigw.AccessLogFormat.custom(
          JSON.stringify({
            requestId: context.contextRequestId(),
            status: context.contextStatus(),
            responseLatency: context.contextResponseLatency(),
            error: context.contextErrorMessage(),
          }),
        ),
      },
    });
    Validations.of(api).acknowledge({ id: 'AwsSolutions-APIG4', reason: OPEN_REASON });
    return `${api.apiEndpoint}/`;
  }
}

/**
 * Says why it is open to those who look for that: cdk-nag's packs that have a rule about it, and Checkov and AWS's
 * Guard rules, which read what to leave out from the metadata of a resource.
 */
function acknowledgeOpen(resource: CfnResource): void {
  Validations.of(resource).acknowledge(
    ...NAG_PACKS.map((pack) => ({
      id: `${pack}-LambdaFunctionPublicAccessProhibited`,
      reason: OPEN_REASON,
    })),
  );
  const skip = ['CKV_AWS_258', 'CKV_AWS_301'].map((rule) => ({ id: rule, comment: OPEN_REASON }));
  resource.addMetadata('checkov', { skip });
  resource.addMetadata('guard', { SuppressedRules: ['LAMBDA_FUNCTION_PUBLIC_ACCESS_PROHIBITED'] });
}
