import { Duration, Validations } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import type { EnvVars, operateEnv } from '../src/contract/env.ts';
import { commonEnvironment, type Foundation, type Queues, queueEnvironment } from './environment.ts';
import { PipelineFunction } from './pipeline-function.ts';
import { allowSend } from './work-queue.ts';

/** What operate needs. */
export interface OperateProps extends Foundation, Queues {}

const AREAS = ['input', 'work', 'output', 'errors', 'retry', 'receipts'] as const;

/**
 * What operators call to cancel, resume, retry, pause and forget (ADR 46). Its URL takes requests that are signed by
 * callers with `lambda:InvokeFunctionUrl` and `lambda:InvokeFunction` on it. It has no
 * API key, so that nobody who may only operate comes near one.
 */
export class Operate extends Construct {
  /** The function. */
  readonly fn: PipelineFunction;
  /** Where operators send requests to. */
  readonly url: string;

  constructor(scope: Construct, id: string, props: OperateProps) {
    super(scope, id);
    const { storage, state, finalizeQueue, collectQueue } = props;
    const fn = new PipelineFunction(this, 'Function', {
      capability: 'operate',
      description: 'Carries out what operators ask for',
      memorySize: 512,
      // To forget a large job takes minutes; a request that is cut off is repeated.
      timeout: Duration.minutes(15),
      platform: props.platform,
      reservedConcurrency: props.reservedConcurrency?.operate,
      layers: [props.settingsLayer],
      environment: {
        ...commonEnvironment('operate', props),
        ...queueEnvironment(props),
      } satisfies EnvVars<typeof operateEnv>,
    });
    this.fn = fn;
    storage.allowReadVersions(fn, ['input', 'retry', 'receipts']);
    storage.allowWrite(fn, ['input']);
    storage.allowListVersions(fn, AREAS);
    storage.allowErase(fn, AREAS);
    storage.allowConditions(fn, ['output', 'errors']);
    state.allowReadWrite(fn, { kinds: ['pauses', 'tombstone'], alsoRead: ['jobs', 'input'], puts: true });
    state.allowDelete(fn);
    allowSend(fn, [collectQueue, finalizeQueue]);
    this.url = fn.addFunctionUrl({ authType: lambda.FunctionUrlAuthType.AWS_IAM }).url;
    Validations.of(this).acknowledge({
      id: 'Serverless-LambdaAsyncFailureDestination',
      reason: 'It is called over its URL and waited for: the caller sees what failed, and repeats it.',
    });
  }
}
