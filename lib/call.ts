import { Construct } from 'constructs';
import type { callEnv, EnvVars } from '../src/contract/env.ts';
import {
  allowSweep,
  type ConsumerProps,
  commonEnvironment,
  consumerEnvironment,
  openaiEnvironment,
} from './environment.ts';
import { PipelineFunction } from './pipeline-function.ts';

/** Calls the requests of a slice one by one, in OpenAI's flex or standard tier. */
export class Call extends Construct {
  /** The function. */
  readonly fn: PipelineFunction;

  constructor(scope: Construct, id: string, props: ConsumerProps) {
    super(scope, id);
    const { storage, apiKey, callQueue } = props;
    const fn = new PipelineFunction(this, 'Function', {
      capability: 'call',
      description: 'Calls requests one by one, in flex or standard',
      // A slice of 32 MB, as bytes and as text, and its answers.
      memorySize: 1024,
      timeout: callQueue.consumerTimeout,
      continuesItself: true,
      logRetention: props.logRetention,
      reservedConcurrency: props.reservedConcurrency?.call,
      layers: [props.settingsLayer],
      environment: {
        ...commonEnvironment('call', props),
        ...openaiEnvironment(props),
        ...consumerEnvironment(props),
      } satisfies EnvVars<typeof callEnv>,
    });
    this.fn = fn;
    storage.allowRead(fn, ['input', 'work']);
    storage.allowWrite(fn, ['work']);
    allowSweep(fn, props);
    apiKey.allowRead(fn);
    callQueue.deliverTo(fn, 'maxConcurrency.call', props.maxConcurrency);
  }
}
